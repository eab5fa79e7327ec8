package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// statuses are what the codes of errors are in HTTP, as far as Flocker has
// them as Flocker has them: 405 for a deleted dataset is its.
var statuses = map[api.Code]int{
	api.CodeInvalid:      http.StatusBadRequest,
	api.CodeNotFound:     http.StatusNotFound,
	api.CodeConflict:     http.StatusConflict,
	api.CodePrecondition: http.StatusPreconditionFailed,
	api.CodeDeleted:      http.StatusMethodNotAllowed,
	api.CodeForbidden:    http.StatusForbidden,
	api.CodeStale:        http.StatusConflict,
	api.CodeUnavailable:  http.StatusServiceUnavailable,
	api.CodeInternal:     http.StatusInternalServerError,
}

// schemaError says that a body is JSON but not what is asked for. Its
// description is Flocker's; errors has every mistake.
type schemaError struct{ mistakes []string }

func (e *schemaError) Error() string {
	return schemaDescription + " " + strings.Join(e.mistakes, "; ")
}

const schemaDescription = "The provided JSON doesn't match the required schema."

// errNotJSON has Flocker's text, line break and all.
var errNotJSON = api.Errorf(api.CodeInvalid,
	"The request body could not be decoded according to the value of the\nContent-Type header.")

// httpError is an error with a status that is not its code's.
type httpError struct {
	status int
	err    error
}

func (e *httpError) Error() string { return e.err.Error() }

func (e *httpError) Unwrap() error { return e.err }

// errorBody is what an error looks like to a client.
type errorBody struct {
	*api.Error
	Errors []string `json:"errors,omitempty"`
}

// flockerErrorBody is the error body of Flocker 1.15, with its keys and no others.
type flockerErrorBody struct {
	Description string   `json:"description"`
	Errors      []string `json:"errors,omitempty"`
}

// errorWriter answers a request with an error. The headers with its code and
// field are set already.
type errorWriter func(w http.ResponseWriter, status int, body errorBody)

func writeError(w http.ResponseWriter, status int, body errorBody) { reply(w, status, body) }

func writeFlockerError(w http.ResponseWriter, status int, body errorBody) {
	reply(w, status, flockerErrorBody{Description: body.Error.Error(), Errors: body.Errors})
}

// describe turns an error into a status and a body. What is not meant for
// users stays out: they get a reference to the log.
func describe(err error, reference string) (status int, body errorBody) {
	if schema, ok := errors.AsType[*schemaError](err); ok {
		return http.StatusBadRequest, errorBody{
			Error: &api.Error{Code: api.CodeInvalid, Message: schemaDescription}, Errors: schema.mistakes,
		}
	}
	e := api.AsError(err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e = api.Errorf(api.CodeUnavailable, "the request ended before it was answered; it may take effect all the same")
	case e.Code == api.CodeInternal:
		e = api.Errorf(api.CodeInternal, "a defect of the control service; its log has more about %s", reference)
	}
	status, ok := statuses[e.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	if special, ok := errors.AsType[*httpError](err); ok {
		status = special.status
	}
	return status, errorBody{Error: e}
}

func errTooLarge(limit int64) error {
	return &httpError{http.StatusRequestEntityTooLarge,
		api.Errorf(api.CodeInvalid, "the request body is larger than the %d bytes that are allowed", limit)}
}

func errMethod(method string, allowed []string) error {
	return &httpError{http.StatusMethodNotAllowed,
		&api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("%s is not allowed here, only %s", method, strings.Join(allowed, ", "))}}
}
