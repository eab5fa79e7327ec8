package control

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/pki"
)

const pathStream = "/agent/v1/stream"

// agents serves the agents of nodes. A node speaks for itself only: who it is
// its certificate says.
type agents struct {
	replica     *Replica
	self        api.ReplicaID
	live        *liveness
	members     *membership
	now         func() time.Time
	log         *slog.Logger
	metrics     *metrics
	mesos       Mesos // nil where nobody asks it
	writes      *buckets
	reports     *buckets
	version     string
	name        string // of this replica
	defaultSize int64
	heartbeat   time.Duration
	stopping    <-chan struct{} // closed when streams have to end
	inventories chan struct{}   // holds a token for each that is taken in
}

// serve returns the server of the agent protocol.
func (a *agents) serve(log *slog.Logger, m *metrics) http.Handler {
	s := newServer(slog.LevelDebug, log, m, pki.RoleNode)
	s.handleStream(pathStream, methods{http.MethodPost: limited(a.writes, a.stream)})
	s.handle("/agent/v1/claim", methods{http.MethodPost: limited(a.writes, a.claim)})
	s.handle("/agent/v1/member", methods{http.MethodPost: limited(a.writes, a.member)})
	s.handle("/agent/v1/report", methods{http.MethodPost: limited(a.reports, a.report)})
	s.route("/agent/v1/inventory", api.MaxInventoryBytes, writeError, methods{http.MethodPost: limited(a.reports, a.inventory)})
	s.handle("/agent/v1/datasets/{dataset_id}", methods{http.MethodGet: a.dataset})
	return s
}

func (a *agents) claim(w http.ResponseWriter, r *http.Request, who caller) error {
	var req api.ClaimRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	node := api.NodeID(who.name)
	owner, err := a.actsFor(req.Owner)
	if err != nil {
		return err
	}
	res, err := a.replica.Do(r.Context(), cluster.Claim{
		At: a.now(), Node: node, Stream: req.Stream, ID: req.ID, Find: req.Find,
		NewID: api.DatasetID(uuid.NewString()), DefaultSize: a.defaultSize, Preempt: req.Preempt, Ahead: req.Ahead,
		Owner: owner,
	})
	if err != nil {
		return err
	}
	a.live.heard(node)
	// What else was committed with the claim may have changed the dataset
	// again, in the same revision: the answer must not look older than that.
	d := res.State.Dataset(res.Dataset.ID)
	if len(res.Changes) > 0 {
		a.log.Info("claim", "node", nodeName(res.State, node), "dataset", d.ID, "name", d.Name(), "granted", d.HeldBy(node), "epoch", d.Epoch)
	}
	reply(w, http.StatusOK, d)
	return nil
}

// member gives a consumer a member of a volume set, or a place in its queue.
func (a *agents) member(w http.ResponseWriter, r *http.Request, who caller) error {
	var req api.MemberRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	node := api.NodeID(who.name)
	owner, err := a.actsFor(req.Owner)
	if err != nil {
		return err
	}
	var cmd cluster.Command = cluster.ClaimMember{
		At: a.now(), Node: node, Stream: req.Stream, Consumer: req.Consumer, Instance: req.Instance,
		Find: req.Set, Each: req.Each, Index: req.Index, ID: req.ID,
		NewID: api.DatasetID(uuid.NewString()), DefaultSize: a.defaultSize, Owner: owner,
	}
	if req.Leave {
		cmd = cluster.LeaveSet{At: a.now(), Node: node, Stream: req.Stream, Consumer: req.Consumer, Set: req.Set.Name}
	}
	res, err := a.replica.Do(r.Context(), cmd)
	if err != nil {
		return err
	}
	a.live.heard(node)
	var out api.MemberReply
	if res.Dataset != nil {
		out.Dataset = res.State.Dataset(res.Dataset.ID) // not older than what else was committed, as for a claim
	} else {
		out.Place, _ = res.Set.Waits(node, api.RootConsumer(req.Consumer))
		out.Why = res.State.ExplainWaiting(req.Set.Name, node, req.Consumer, a.now())
	}
	if len(res.Changes) > 0 {
		a.log.Info("claim of a member", "node", nodeName(res.State, node), "set", req.Set.Name, "consumer", req.Consumer,
			"instance", req.Instance, "member", memberName(out.Dataset), "place", out.Place, "left", req.Leave)
	}
	reply(w, http.StatusOK, out)
	return nil
}

// actsFor returns the owner for which a node says that it acts. Nodes run the tasks of
// roles, and never act for users. Where the node could not find out, the rest of the
// cluster's trust is no reason to refuse the task while all owners are one.
func (a *agents) actsFor(owner api.Owner) (api.Owner, error) {
	switch {
	case owner == "":
		return api.Anyone, nil
	case owner == api.OwnerUnknown && a.replica.State().Tenancy() == api.TenancyShared:
		return api.Anyone, nil
	case owner == api.OwnerUnknown:
		return "", api.Errorf(api.CodeUnavailable, "the role of the container's framework is not known, and so neither is which volumes it may use: "+
			"the Flocker agent needs the address of its Mesos agent (mesos.agent in agent.yml), and flocker-isolator must be of the agent's version")
	}
	if err := api.CheckOwner("owner", owner); err != nil {
		return "", err
	}
	if owner.User() {
		return "", api.Errorf(api.CodeForbidden, "a node acts for the roles of Mesos' frameworks, not for %s", owner)
	}
	return owner, nil
}

func memberName(d *api.Dataset) string {
	if d == nil {
		return ""
	}
	return d.Name()
}

// reportsAtOnce is how many parts of a report are decided as one command, so
// that any log can take it in one commit.
const reportsAtOnce = 16

func (a *agents) report(w http.ResponseWriter, r *http.Request, who caller) error {
	var report api.Report
	if err := decode(r, &report); err != nil {
		return err
	}
	node := api.NodeID(who.name)
	if err := a.replica.State().CheckStream(node, report.Stream); err == nil {
		a.live.heard(node)
	}
	var waiting []*pending
	if report.Mesos != nil {
		waiting = append(waiting, a.replica.submit(r.Context(), cluster.MesosReport{Node: node, Stream: report.Stream, Trouble: report.Mesos.Trouble}))
	}
	for parts := report.Datasets; len(parts) > 0; {
		n := min(reportsAtOnce, len(parts))
		waiting = append(waiting, a.replica.submit(r.Context(), cluster.Report{
			At: a.now(), Node: node, Stream: report.Stream, Datasets: parts[:n],
		}))
		parts = parts[n:]
	}
	var out api.ReportReply
	for _, p := range waiting {
		res, err := a.replica.await(r.Context(), p)
		if err != nil {
			return err
		}
		for id, refusal := range res.Refused {
			if out.Refused == nil {
				out.Refused = map[api.DatasetID]*api.Error{}
			}
			out.Refused[id] = refusal
		}
	}
	reply(w, http.StatusOK, out)
	return nil
}

// dataset explains a dataset to whoever waits for it.
func (a *agents) dataset(w http.ResponseWriter, r *http.Request, _ caller) error {
	s, id := a.replica.State(), api.DatasetID(mux.Vars(r)["dataset_id"])
	d := s.Dataset(id)
	if d == nil {
		return api.Errorf(api.CodeNotFound, "Dataset not found.")
	}
	reply(w, http.StatusOK, detail(s, d, evidenceOf(a.mesos, s), a.now()))
	return nil
}

// nodeName names a node in the log.
func nodeName(s *cluster.State, id api.NodeID) string {
	if n := s.Node(id); n != nil {
		return n.Name()
	}
	return string(id)
}

// prune forgets, now and then, datasets that are long gone.
func prune(ctx context.Context, r *Replica, now func() time.Time, keep time.Duration, log *slog.Logger) {
	const every, limit = time.Hour, 50
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		for ctx.Err() == nil {
			res, err := r.Do(ctx, cluster.Prune{DestroyedBefore: now().Add(-keep), Limit: limit})
			if err != nil {
				log.Warn("destroyed datasets cannot be forgotten, will try again", "cause", err, "next_try", every)
				break
			}
			if n := len(res.Changes); n > 0 {
				log.Info("forgot destroyed datasets", "count", n)
			} else {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
