package check

import "strconv"

// lookHealth finds health checks of Marathon's by which an instance that is not well
// goes on for ever: Marathon makes room for a new one by killing those that are well.
// Where Mesos checks, as in pods, it kills at the first failure.
func lookHealth(p *probe) {
	least, over, _ := p.strategy()
	if p.Pod || len(p.volumes) == 0 || p.isSet() || least != 0 || over != 0 {
		return
	}
	for i, h := range p.app.HealthChecks {
		if h.ByMesos() || h.MaxFailures == nil || *h.MaxFailures != 0 {
			continue
		}
		at := []string{"healthChecks", strconv.Itoa(i), "maxConsecutiveFailures"}
		p.find(pointer(at...), remedy{patch: p.set([]byte("3"), at...)}, "an instance that is not well is never killed")
	}
}
