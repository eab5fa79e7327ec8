package csi

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// codeOf are CSI's codes for ours. Mesos shows the code's name and the text to
// the framework.
var codeOf = map[api.Code]codes.Code{
	api.CodeInvalid:      codes.InvalidArgument,
	api.CodeNotFound:     codes.NotFound,
	api.CodeConflict:     codes.FailedPrecondition,
	api.CodePrecondition: codes.FailedPrecondition,
	api.CodeDeleted:      codes.NotFound,
	api.CodeForbidden:    codes.PermissionDenied,
	api.CodeStale:        codes.Aborted,
	api.CodeUnavailable:  codes.Unavailable,
	api.CodeInternal:     codes.Internal,
}

// statusOf returns what a failure is answered as.
func statusOf(err error) *status.Status {
	if st, ok := status.FromError(err); ok {
		return st
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.Aborted, "the caller has given up, or the agent stops: "+err.Error())
	case errors.Is(err, host.ErrBusy):
		return status.New(codes.FailedPrecondition, err.Error())
	}
	return status.New(codeOf[api.CodeOf(err)], err.Error())
}
