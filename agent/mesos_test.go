package agent_test

import (
	"testing"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
)

func TestTroubleWithMesosIsReportedOnEveryStream(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-a")
	n.start()
	trouble := &api.MesosTrouble{Kind: api.MesosUnheard, Cause: "connection refused"}
	n.agent.TellMesosTrouble(trouble)
	told := func(want *api.MesosTrouble) func(*agenttest.Control) bool {
		return func(c *agenttest.Control) bool { return c.MesosTrouble("node-a") == want }
	}
	s.await("the control service hears of it", told(trouble))
	n.stop()
	n.start()
	n.agent.TellMesosTrouble(nil)
	n.agent.TellMesosTrouble(trouble)
	s.await("the next stream hears of it", told(trouble))
	n.agent.TellMesosTrouble(nil)
	s.await("the control service hears that it is over", told(nil))
	n.stop()
}
