package isolator

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Client speaks the local protocol with the agent on a unix socket, one
// connection a request. An error is an *UnreachableError where no answer came,
// and what the agent said, an *api.Error, where one did.
type Client struct{ Socket string }

// Acquire asks for the volumes of a consumer.
func (c *Client) Acquire(ctx context.Context, req api.AcquireRequest) (*api.LocalReply, error) {
	return c.call(ctx, &api.LocalRequest{Acquire: &req}, nil)
}

// Await waits for the volumes of a consumer. Sentences about how far they are
// go to progress.
func (c *Client) Await(ctx context.Context, consumer string, progress func(string)) ([]api.Mount, error) {
	reply, err := c.call(ctx, &api.LocalRequest{Await: &api.AwaitRequest{Consumer: consumer}}, progress)
	if err != nil {
		return nil, err
	}
	return reply.Mounts, nil
}

// AwaitTrees is Await that returns the volumes as detached mounts.
func (c *Client) AwaitTrees(ctx context.Context, consumer string, progress func(string)) (*Trees, error) {
	req := &api.LocalRequest{Await: &api.AwaitRequest{Consumer: consumer, Trees: true}}
	var rights *rightsReader
	reply, err := c.exchange(ctx, req, progress, func(conn *os.File) io.Reader {
		rights = newRightsReader(conn)
		return rights
	})
	if err == nil && len(rights.files) != len(reply.Mounts) {
		err = fmt.Errorf("the flocker agent answered with %d volumes and %d mounts: it may be older than this program; "+
			"restart it with the same version", len(reply.Mounts), len(rights.files))
	}
	if err != nil {
		if rights != nil {
			rights.close()
		}
		return nil, err
	}
	trees := &Trees{Root: reply.MountRoot, files: make(map[string]*os.File, len(reply.Mounts))}
	for i, m := range reply.Mounts {
		trees.files[m.Key] = rights.files[i]
	}
	return trees, nil
}

// Release ends a consumer.
func (c *Client) Release(ctx context.Context, consumer string) error {
	_, err := c.call(ctx, &api.LocalRequest{Release: &api.ReleaseRequest{Consumer: consumer}}, nil)
	return err
}

// Labels returns the labels that Mesos knows for a nested container.
func (c *Client) Labels(ctx context.Context, container, parent string) ([]api.Label, error) {
	req := &api.LabelsRequest{Container: container, Parent: parent}
	reply, err := c.call(ctx, &api.LocalRequest{Labels: req}, nil)
	if err != nil {
		return nil, err
	}
	return reply.Labels, nil
}

// Status asks the agent about itself.
func (c *Client) Status(ctx context.Context) (*api.AgentStatus, error) {
	reply, err := c.call(ctx, &api.LocalRequest{Status: &api.StatusRequest{}}, nil)
	if err != nil {
		return nil, err
	}
	if reply.Status == nil {
		return nil, &UnreachableError{c.Socket, errors.New("the answer has no status")}
	}
	return reply.Status, nil
}

// Marathon has the agent ask a Marathon about itself.
func (c *Client) Marathon(ctx context.Context, url string) (*api.MarathonInfo, error) {
	reply, err := c.call(ctx, &api.LocalRequest{Marathon: &api.MarathonRequest{URL: url}}, nil)
	if err != nil {
		return nil, err
	}
	if reply.Marathon == nil {
		return nil, &UnreachableError{c.Socket, errors.New("the answer has no Marathon")}
	}
	return reply.Marathon, nil
}

// Mesos has the agent examine its Mesos agent.
func (c *Client) Mesos(ctx context.Context) (*api.MesosInfo, error) {
	reply, err := c.call(ctx, &api.LocalRequest{Mesos: &api.MesosRequest{}}, nil)
	if err != nil {
		return nil, err
	}
	if reply.Mesos == nil {
		return nil, &UnreachableError{c.Socket, errors.New("the answer has no Mesos agent")}
	}
	return reply.Mesos, nil
}

// call sends a request and reads the answer up to its last line.
func (c *Client) call(ctx context.Context, req *api.LocalRequest, progress func(string)) (*api.LocalReply, error) {
	return c.exchange(ctx, req, progress, func(conn *os.File) io.Reader { return conn })
}

// exchange is call with a reader of the caller's.
func (c *Client) exchange(ctx context.Context, req *api.LocalRequest, progress func(string), reader func(*os.File) io.Reader) (*api.LocalReply, error) {
	line, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	if len(line) >= api.MaxLocalLine {
		return nil, api.Errorf(api.CodeInvalid, "the request is longer than %d bytes", api.MaxLocalLine)
	}
	conn, err := connect(ctx, c.Socket)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer conn.Close()
	// A deadline in the past ends reads and writes.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return nil, c.unreachable(ctx, err)
	}
	lines := bufio.NewReader(reader(conn))
	for {
		reply, err := readReply(lines)
		switch {
		case err != nil:
			return nil, c.unreachable(ctx, err)
		case reply.Error != nil:
			return nil, reply.Error
		case reply.Done:
			return reply, nil
		case progress != nil && reply.Progress != "":
			progress(reply.Progress)
		}
	}
}

// unreachable says why no answer came. When the context ended that is why,
// whatever the kernel called it.
func (c *Client) unreachable(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("it ended before its answer did: %w", io.ErrUnexpectedEOF)
	}
	return &UnreachableError{c.Socket, bare(err)}
}

// bare removes what a *os.PathError says of the socket, which is said already.
func bare(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

func readReply(lines *bufio.Reader) (*api.LocalReply, error) {
	line, err := readLine(lines)
	if err != nil {
		return nil, err
	}
	reply := new(api.LocalReply)
	if err := json.Unmarshal(line, reply); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return reply, nil
}

// readLine returns the next line, of api.MaxLocalLine bytes at the most.
func readLine(lines *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := lines.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > api.MaxLocalLine {
			return nil, fmt.Errorf("read answer: a line is longer than %d bytes", api.MaxLocalLine)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}
