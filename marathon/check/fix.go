package check

import "fmt"

// maxRounds bounds how often one definition is looked at again: each mended thing can
// show another one.
const maxRounds = 200

// Fix mends what has one right answer, by what is known of the datasets. It returns the
// mended text, what was mended, and what is left to be mended by hand. The document is
// changed.
func Fix(d *Document, c *Context) (text []byte, mended, left []Finding, err error) {
	for _, definition := range d.Definitions {
		done, err := definition.fix(c)
		if err != nil {
			return nil, nil, nil, err
		}
		mended = append(mended, done...)
	}
	text = d.Text()
	again, err := Parse(d.Source, text)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("read what was mended: %w", err)
	}
	return text, mended, Check([]*Document{again}, c), nil
}

// ruleNames is the rule by which what was ignored so far is read, with what is wrong in it.
const ruleNames = "misspelt-setting"

// fix mends one thing after the other, until nothing is found that it could mend.
func (d *Definition) fix(c *Context) ([]Finding, error) {
	var mended []Finding
	for range maxRounds {
		next, found := d.mendable(c)
		if !found {
			break
		}
		readable := d.unread == nil
		if err := d.doc.apply(next.Patch); err != nil {
			return nil, fmt.Errorf("mend %s of %s: %w", next.Rule, d.ID, err)
		}
		if d.decode(); readable && d.unread != nil && next.Rule != ruleNames { // rather nothing mended than something broken
			return nil, fmt.Errorf("mend %s of %s: it could not be read then: %w", next.Rule, d.ID, d.unread)
		}
		mended = append(mended, next)
	}
	return mended, nil
}

// mendable returns the first finding that has a patch.
func (d *Definition) mendable(c *Context) (Finding, bool) {
	w := d.workload()
	for _, f := range w.check(c, newSharing(nil, nil)) {
		if len(f.Patch) > 0 {
			return f, true
		}
	}
	return Finding{}, false
}
