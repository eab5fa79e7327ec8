package api

import (
	"errors"
	"fmt"
)

// Code says what kind of failure an Error is. It survives every border of the
// system: store, control service, agent protocol, local socket.
type Code string

// The codes. A caller switches on them, never on texts.
const (
	CodeInvalid      Code = "invalid"      // the request itself is wrong; trying again does not help
	CodeNotFound     Code = "not-found"    // no such dataset, node, ...
	CodeConflict     Code = "conflict"     // the name or id is taken, or another node has what is asked for
	CodePrecondition Code = "precondition" // the configuration changed since the caller looked
	CodeDeleted      Code = "deleted"      // the dataset has been deleted
	CodeForbidden    Code = "forbidden"    // the certificate's role does not allow it
	CodeStale        Code = "stale"        // an old epoch or an old stream; the sender must look again
	CodeUnavailable  Code = "unavailable"  // not now; the same request may succeed later
	CodeInternal     Code = "internal"     // a defect of ours; the log has more
)

// Error is a failure that a user reads: what was wrong, with which field and
// value, and what would be right.
type Error struct {
	Code    Code   `json:"code"`
	Field   string `json:"field,omitempty"` // the label, option or JSON key it is about, if any
	Message string `json:"description"`
}

// Header fields of a failed HTTP request. Flocker's own paths have the code and
// the field only here: their bodies have only Flocker's keys.
const (
	HeaderError      = "X-Flocker-Error"       // the code
	HeaderErrorField = "X-Flocker-Error-Field" // the field, if any
)

// Error returns the message, led by the field where there is one.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// Errorf makes an Error without a field.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// FieldErrorf makes a CodeInvalid Error about one field.
func FieldErrorf(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the first Error in err's chain, CodeInternal for
// any other error, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// AsError returns the Error that err should cross a border as: its own where
// it has one, with the whole chain's text, else a CodeInternal one.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok { //nolint:errorlint // only an unwrapped one may pass unchanged
		return e
	}
	return &Error{Code: CodeOf(err), Message: err.Error()}
}
