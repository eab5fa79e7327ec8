package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/test/consul"
)

// stack is all of Flocker on this machine: three Consul servers, a control
// service, two agents that share a directory of volumes. And beside it the
// floors of its parts.
type stack struct {
	dir      string
	user     *client.Client
	one, two *node
	control  *control

	consul *rawConsul
	bare   *bareServer
	getter *getter
}

func newStack(s settings, c *consul.Cluster, more ...string) (*stack, error) {
	certs, err := makeCertificates(filepath.Join(s.dir, "certs"), 2)
	if err != nil {
		return nil, err
	}
	addresses := leaderFirst(c)
	st := &stack{dir: s.dir, consul: newRawConsul(addresses[0])}
	if st.control, err = newControl(s, filepath.Join(s.dir, "control"), certs, consulStore("stack", addresses...), more...); err != nil {
		return nil, err
	}
	if st.user, err = st.control.user(); err != nil {
		return nil, err
	}
	san := filepath.Join(s.dir, "san")
	if err := os.Mkdir(san, 0o700); err != nil {
		return nil, err
	}
	if st.one, err = newNode(s, st.control, certs.nodes[0], san); err != nil {
		return nil, err
	}
	if st.two, err = newNode(s, st.control, certs.nodes[1], san); err != nil {
		return nil, err
	}
	if st.bare, err = newBareServer(s, certs); err != nil {
		return nil, err
	}
	st.getter, err = newGetter(certs)
	return st, err
}

func (st *stack) close() error {
	st.bare.process.kill()
	return joined(st.one.close, st.two.close, st.control.process.stop)
}

// await waits, by long polls, until a dataset is mounted on a node.
func (st *stack) await(ctx context.Context, id api.DatasetID, on *node) error {
	_, err := st.user.AwaitVolume(ctx, string(id), func(d *api.DatasetDetail) bool {
		return d.Status == string(cluster.StatusMounted) && d.State.Node == on.id
	})
	return err
}

// up creates a dataset and waits until it is mounted.
func (st *stack) up(ctx context.Context, id api.DatasetID) error {
	_, err := st.user.Create(ctx, client.CreateRequest{ID: id, Primary: st.one.id, MaximumSize: gigabyte}, "")
	if err != nil {
		return err
	}
	return st.await(ctx, id, st.one)
}

// move moves a dataset to the other node and waits until it is mounted there.
func (st *stack) move(ctx context.Context, id api.DatasetID) error {
	if _, err := st.user.Move(ctx, id, st.two.id, ""); err != nil {
		return err
	}
	return st.await(ctx, id, st.two)
}

// remove deletes a dataset and waits until it is gone.
func (st *stack) remove(ctx context.Context, id api.DatasetID) error {
	if _, err := st.user.Delete(ctx, id, ""); err != nil {
		return err
	}
	_, err := st.user.AwaitVolume(ctx, string(id), func(d *api.DatasetDetail) bool { return d.Dataset.Destroyed })
	return err
}

// stackFigures are what the rounds bring: of the stack, and of its floors.
type stackFigures struct {
	up, moved       series
	rawUp, rawMoved series // with their commits and hops
	shellUp         series
	commit, hop     series
}

// benchStack measures a volume's whole way, from a user's request until the
// user sees it mounted, and the way from one node to another.
func benchStack(s settings) ([]result, error) {
	return withConsul(s, func(c *consul.Cluster) ([]result, error) {
		st, err := newStack(s, c)
		if err != nil {
			return nil, err
		}
		var f stackFigures
		for i := range s.rounds + warmUp {
			if i == warmUp {
				f = stackFigures{} // agents have connected, images are made
			}
			if err := st.round(i, &f); err != nil {
				return nil, fmt.Errorf("%w\n%s", err, st.one.process.lastWords())
			}
		}
		return []result{
			ratio("P2", "REST, Consul, agent, 1 GiB ext4 mounted, seen / system calls + 2 commits + 2 hops", 1.1, f.up, f.rawUp),
			ratio("P2", "the same / shell", 1, f.up, f.shellUp),
			ratio("", "a commit of two keys / a long poll's hop", 0, f.commit, f.hop),
			ratio("P14", "a mounted volume moved to another agent / down, up without mkfs, 3 commits", 1.2, f.moved, f.rawMoved),
		}, st.close()
	})
}

// warmUp is how many first rounds do not count.
const warmUp = 2

func (st *stack) round(i int, f *stackFigures) error {
	ctx, cancel := patiently()
	defer cancel()
	id := api.DatasetID(fmt.Sprintf("b0000000-0000-4000-8000-%012d", i+1))
	if err := timed(&f.up, func() error { return st.up(ctx, id) }); err != nil {
		return fmt.Errorf("create dataset: %w", err)
	}
	if err := use(st.one.path(id)); err != nil {
		return err
	}
	if err := timed(&f.moved, func() error { return st.move(ctx, id) }); err != nil {
		return fmt.Errorf("move dataset: %w", err)
	}
	if err := st.remove(ctx, id); err != nil {
		return fmt.Errorf("delete dataset: %w", err)
	}
	name := fmt.Sprintf("v%d", i)
	if err := st.raw(ctx, name, f); err != nil {
		return err
	}
	var down series
	return shellRound(st.dir, "shell-"+name, &f.shellUp, &down)
}

// raw measures the floor of both ways on this machine: the parts in the order
// in which they have to happen, so that what a commit leaves the servers to do
// disturbs the floor as it disturbs the stack.
func (st *stack) raw(ctx context.Context, name string, f *stackFigures) error {
	commit := func() error { return timed(&f.commit, func() error { return st.consul.commit(ctx) }) }
	var v *rawVolume
	if err := timed(&f.rawUp, func() (err error) {
		if err := commit(); err != nil {
			return err
		}
		if v, err = rawUp(st.dir, name); err != nil {
			return err
		}
		return commit()
	}); err != nil {
		return err
	}
	if err := use(v.target); err != nil {
		return err
	}
	if err := timed(&f.rawMoved, func() error {
		return inOrder(commit, v.down, commit, v.attachAgain, v.mountAgain, commit)
	}); err != nil {
		return err
	}
	for range 2 {
		hop, err := st.bare.hop(st.getter)
		if err != nil {
			return err
		}
		f.hop = append(f.hop, hop)
		f.rawUp[len(f.rawUp)-1] += hop
	}
	if err := v.down(); err != nil {
		return err
	}
	return v.remove()
}
