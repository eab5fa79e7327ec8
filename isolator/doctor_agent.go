package isolator

import "errors"

// judgeAgent looks at the flocker agent of this machine.
func judgeAgent(f *Facts) []Finding {
	if away, ok := errors.AsType[*UnreachableError](f.AgentErr); ok && f.Agent == nil {
		return []Finding{fail("flocker agent", "does not answer on %s: %v; start it (systemctl status flocker-agent says why it does not run), or name its socket with --socket",
			away.Socket, away.Err)}
	}
	if f.Agent == nil {
		return []Finding{fail("flocker agent", "%v", f.AgentErr)}
	}
	findings := []Finding{ok("flocker agent", "node %s answers on %s", f.Agent.Node, f.Socket)}
	if f.Agent.Version == f.Version {
		findings = append(findings, ok("versions", "agent and isolator are both %s", f.Version))
	} else {
		findings = append(findings, warn("versions", "the agent is %s, this isolator, %s, is %s: install the same version",
			f.Agent.Version, f.Program, f.Version))
	}
	if f.Agent.Connected {
		findings = append(findings, ok("control service", "%s", f.Agent.Control))
	} else {
		findings = append(findings, warn("control service", "%s: volumes that are not here already can't be brought",
			f.Agent.Control))
	}
	return findings
}
