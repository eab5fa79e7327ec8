package cluster

import (
	"slices"
	"unicode/utf8"

	"github.com/flocker-mesos/flocker/api"
)

// Limits of what agents say, so that no record outgrows the log. A record is
// at most about 128 KiB.
const (
	maxText      = 1024   // bytes of a text in a report or a hello
	maxCause     = 4096   // bytes of a failure's cause
	maxConsumers = 1000   // of a dataset on a node
	maxState     = 100000 // bytes of all texts of a report about one dataset
	// maxCapabilities is how many a hello may name.
	maxCapabilities = 32
	// maxAllocationUnit bounds a backend's, in bytes.
	maxAllocationUnit = 1 << 40
	// sizeSlack is how much larger than asked a volume may be made, in bytes: some
	// storage systems have a smallest size, or no other one.
	sizeSlack = 1 << 40
)

// CheckSize reports why bytes is no size to ask for.
func CheckSize(field string, bytes int64) error {
	switch {
	case bytes < api.MinSize:
		return api.FieldErrorf(field, "%d is less than the minimum of %d bytes (64 MiB)", bytes, api.MinSize)
	case bytes%api.SizeMultiple != 0:
		return api.FieldErrorf(field, "%d is not a multiple of %d", bytes, api.SizeMultiple)
	}
	return nil
}

// CheckMetadata reports what is wrong with metadata, every mistake once.
func CheckMetadata(metadata map[string]string) []error {
	var mistakes []error
	if len(metadata) > api.MaxMetadata {
		mistakes = append(mistakes, api.FieldErrorf("metadata", "has %d entries, more than the %d that are allowed",
			len(metadata), api.MaxMetadata))
	}
	for key, value := range metadata {
		switch n := utf8.RuneCountInString(key); {
		case n == 0:
			mistakes = append(mistakes, api.FieldErrorf("metadata", "has an empty key"))
		case n > api.MaxNameLength:
			mistakes = append(mistakes, api.FieldErrorf("metadata", "has a key of %d characters, more than the %d that are allowed",
				n, api.MaxNameLength))
		}
		if err := api.CheckText("metadata", key); err != nil {
			mistakes = append(mistakes, err)
		}
		if err := api.CheckText("metadata", value); err != nil {
			mistakes = append(mistakes, err)
		}
		if n := utf8.RuneCountInString(value); n > api.MaxNameLength {
			mistakes = append(mistakes, api.FieldErrorf("metadata", "has a value of %d characters for key %.40q, more than the %d that are allowed",
				n, key, api.MaxNameLength))
		}
	}
	return mistakes
}

// CheckName reports why name is no name for a dataset.
func CheckName(field, name string) error {
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		return api.FieldErrorf(field, "must not be empty")
	case n > api.MaxNameLength:
		return api.FieldErrorf(field, "has %d characters, more than the %d that are allowed", n, api.MaxNameLength)
	}
	return api.CheckText(field, name)
}

// CheckFS reports why a dataset cannot be formatted with fs.
func CheckFS(field, fs string) error {
	if fs == api.FSExt4 || fs == api.FSXFS {
		return nil
	}
	return api.FieldErrorf(field, "%q is not a file system that Flocker makes: choose %s or %s", fs, api.FSExt4, api.FSXFS)
}

// legible returns a reported state with its texts escaped: the kernel, storage
// systems and frameworks make them, and a report is not refused for them.
func legible(st api.DatasetState) api.DatasetState {
	st.Phase, st.Action = api.Phase(api.Printable(string(st.Phase))), api.Printable(st.Action)
	st.Path, st.Device = api.Printable(st.Path), api.Printable(st.Device)
	if len(st.Consumers) > 0 {
		st.Consumers = slices.Clone(st.Consumers)
		for i := range st.Consumers {
			c := &st.Consumers[i]
			c.ID, c.Kind, c.App, c.Key = api.Printable(c.ID), api.Printable(c.Kind), api.Printable(c.App), api.Printable(c.Key)
		}
	}
	if st.Trim != nil {
		t := *st.Trim
		t.Error = api.Printable(t.Error)
		st.Trim = &t
	}
	if st.Failure != nil {
		f := *st.Failure
		f.Action, f.Cause = api.Printable(f.Action), api.Printable(f.Cause)
		st.Failure = &f
	}
	if st.Health != nil {
		h := *st.Health
		h.Kind, h.Cause, h.Remedy = api.HealthKind(api.Printable(string(h.Kind))), api.Printable(h.Cause), api.Printable(h.Remedy)
		st.Health = &h
	}
	return st
}

// checkState reports why a reported state cannot be kept.
func checkState(st *api.DatasetState) error {
	total := 0
	text := func(what, s string, limit int) error {
		total += len(s)
		if len(s) > limit {
			return api.FieldErrorf(what, "has %d bytes, more than the %d that are allowed", len(s), limit)
		}
		return nil
	}
	mistakes := []error{
		text("phase", string(st.Phase), maxText),
		text("action", st.Action, maxText),
		text("path", st.Path, 4*maxText),
		text("device", st.Device, 4*maxText),
	}
	if len(st.Consumers) > maxConsumers {
		mistakes = append(mistakes, api.FieldErrorf("consumers", "are %d, more than the %d that are allowed", len(st.Consumers), maxConsumers))
	}
	for _, c := range st.Consumers {
		mistakes = append(mistakes, text("consumers", c.ID, 4*maxText), text("consumers", c.Kind, maxText),
			text("consumers", c.App, 4*maxText), text("consumers", c.Key, maxText))
	}
	if t := st.Trim; t != nil {
		mistakes = append(mistakes, text("trim", t.Error, maxCause))
	}
	if f := st.Failure; f != nil {
		mistakes = append(mistakes, text("failure", f.Action, maxText), text("failure", f.Cause, maxCause))
	}
	if h := st.Health; h != nil {
		mistakes = append(mistakes, text("health", string(h.Kind), maxText), text("health", h.Cause, maxCause), text("health", h.Remedy, maxCause))
	}
	for _, err := range mistakes {
		if err != nil {
			return err
		}
	}
	if total > maxState {
		return api.FieldErrorf("state", "has %d bytes of text, more than the %d that are allowed", total, maxState)
	}
	return nil
}
