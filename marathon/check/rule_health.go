package check

import "strconv"

// lookHealth finds health checks by which an instance that is not well goes on for
// ever: Marathon makes room for a new one by killing those that are well.
func lookHealth(p *probe) {
	least, over, _ := p.strategy()
	if len(p.volumes) == 0 || p.isSet() || least != 0 || over != 0 {
		return
	}
	look := func(failures *float64, at ...string) {
		if failures != nil && *failures == 0 {
			at = append(at, "maxConsecutiveFailures")
			p.find(pointer(at...), remedy{patch: p.set([]byte("3"), at...)}, "an instance that is not well is never killed")
		}
	}
	if p.pod == nil {
		for i, h := range p.app.HealthChecks {
			look(h.MaxFailures, "healthChecks", strconv.Itoa(i))
		}
		return
	}
	for i, c := range p.pod.Containers {
		if c.HealthCheck != nil {
			look(c.HealthCheck.MaxFailures, "containers", strconv.Itoa(i), "healthCheck")
		}
	}
}
