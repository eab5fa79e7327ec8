package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// object is a JSON object whose properties are being checked. It collects all
// mistakes, as Flocker's answers list them.
type object struct {
	properties map[string]json.RawMessage
	mistakes   []string
}

// parseObject reads a body that must be a JSON object of the given properties.
func parseObject(body []byte, known ...string) (*object, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, errNotJSON
	}
	o := &object{}
	if err := json.Unmarshal(body, &o.properties); err != nil || o.properties == nil {
		return nil, &schemaError{[]string{shorten(body) + " is not of type 'object'"}}
	}
	for _, name := range slices.Sorted(maps.Keys(o.properties)) {
		if !slices.Contains(known, name) {
			o.mistake("Additional properties are not allowed ('%s' was unexpected)", name)
		}
	}
	return o, nil
}

func (o *object) mistake(format string, args ...any) {
	o.mistakes = append(o.mistakes, fmt.Sprintf(format, args...))
}

// err returns all mistakes as one error, nil where there are none.
func (o *object) err() error {
	if len(o.mistakes) == 0 {
		return nil
	}
	return &schemaError{o.mistakes}
}

func (o *object) require(name string) {
	if _, ok := o.properties[name]; !ok {
		o.mistake("'%s' is a required property", name)
	}
}

var uuid4 = regexp.MustCompile(`^[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-4[A-Fa-f0-9]{3}-[89abAB][A-Fa-f0-9]{3}-[A-Fa-f0-9]{12}$`)

// uuid4 returns a version-4 UUID in lower case, "" where there is none.
func (o *object) uuid4(name string) string {
	raw, ok := o.properties[name]
	if !ok {
		return ""
	}
	text, ok := asString(raw)
	switch {
	case !ok:
		o.mistake("%s: %s is not of type 'string'", name, shorten(raw))
	case !uuid4.MatchString(text):
		o.mistake("%s: %s is not a version 4 UUID", name, shorten(raw))
	default:
		return strings.ToLower(text)
	}
	return ""
}

var integer = regexp.MustCompile(`^-?[0-9]+$`)

// size returns a number of bytes, 0 where there is none or null.
func (o *object) size(name string) int64 {
	raw, ok := o.properties[name]
	if !ok || string(raw) == "null" {
		return 0
	}
	if !integer.Match(raw) {
		o.mistake("%s: %s is not of type 'integer'", name, shorten(raw))
		return 0
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		o.mistake("%s: %s is out of range", name, shorten(raw))
		return 0
	}
	if err := cluster.CheckSize(name, n); err != nil {
		o.mistake("%v", err)
	}
	return n
}

// metadata returns a map of texts, nil where there is none.
func (o *object) metadata(name string) map[string]string {
	raw, ok := o.properties[name]
	if !ok {
		return nil
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil || values == nil {
		o.mistake("%s: %s is not of type 'object'", name, shorten(raw))
		return nil
	}
	texts := make(map[string]string, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		text, ok := asString(values[key])
		if !ok {
			o.mistake("%s: %s is not of type 'string'", name, shorten(values[key]))
		}
		texts[key] = text
	}
	for _, err := range cluster.CheckMetadata(texts) {
		o.mistake("%v", err)
	}
	return texts
}

func asString(raw json.RawMessage) (text string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	err := json.Unmarshal(raw, &text)
	return text, err == nil
}

// shorten quotes a piece of a request for a person to recognise.
func shorten(raw []byte) string {
	const most = 100
	raw = bytes.TrimSpace(raw)
	if len(raw) <= most {
		return string(raw)
	}
	return strings.ToValidUTF8(string(raw[:most]), "") + "..."
}

// parseCreate reads what dataset is to be created.
func parseCreate(body []byte) (cluster.Create, error) {
	o, err := parseObject(body, "primary", "dataset_id", "maximum_size", "metadata", "deleted")
	if err != nil {
		return cluster.Create{}, err
	}
	o.require("primary")
	// Older clients send it, though Flocker's own server answered them with 500.
	if raw, ok := o.properties["deleted"]; ok && string(raw) != "false" {
		o.mistake("deleted: %s is not false: a dataset cannot be created deleted", shorten(raw))
	}
	c := cluster.Create{
		ID:          api.DatasetID(o.uuid4("dataset_id")),
		Primary:     api.NodeID(o.uuid4("primary")),
		MaximumSize: o.size("maximum_size"),
		Metadata:    o.metadata("metadata"),
	}
	return c, o.err()
}

// parseMove reads where a dataset is to be moved, which may be nowhere.
func parseMove(body []byte) (cluster.Move, error) {
	o, err := parseObject(body, "primary")
	if err != nil {
		return cluster.Move{}, err
	}
	return cluster.Move{Primary: api.NodeID(o.uuid4("primary"))}, o.err()
}
