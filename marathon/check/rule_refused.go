package check

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// idPart is what Marathon takes for a part of an id.
var idPart = regexp.MustCompile(`^((([a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])\.)*([a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])|\.|\.\.)$`)

// operators are the operators of constraints.
var operators = []string{"UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "MAX_PER", "UNLIKE", "IS"}

// lookRefused finds what Marathon refuses of any definition, with volumes or without.
func lookRefused(p *probe) {
	var said map[string]any
	decoder := json.NewDecoder(bytes.NewReader(p.plain()))
	decoder.UseNumber()
	if decoder.Decode(&said) != nil {
		return
	}
	for part := range strings.SplitSeq(strings.Trim(p.ID, "/"), "/") {
		if part != "" && !idPart.MatchString(part) {
			p.find("/id", remedy{text: "write small letters, digits, dashes and dots alone"}, "%s of the id is no part of an id", strconv.Quote(part))
			break
		}
	}
	if s := p.unreachable; s != nil && s.ExpungeAfter < s.InactiveAfter && !p.ours() { // else lookUnreachable tells
		p.find(pointer(p.at.unreachable...), remedy{text: "write an expungeAfterSeconds that is not less"}, "expungeAfterSeconds is less than inactiveAfterSeconds")
	}
	if p.Pod {
		p.refusedPod(said)
		return
	}
	for _, name := range []string{"instances", "cpus", "mem", "disk", "gpus"} {
		p.notNegative(said, name)
	}
	cmd, isText := said["cmd"].(string)
	args, _ := said["args"].([]any)
	switch {
	case isText && cmd != "" && len(args) > 0:
		p.find("/args", remedy{text: "keep one of both"}, "cmd and args are both given")
	case isText && len(cmd) < 2:
		p.find("/cmd", remedy{text: "write a command of two characters or more"}, "cmd is %s", strconv.Quote(cmd))
	}
	p.refusedSingle()
	p.refusedConstraints(said["constraints"])
	strategy, _ := said["upgradeStrategy"].(map[string]any)
	p.capacities(strategy, "upgradeStrategy")
	checks, _ := said["healthChecks"].([]any)
	for i, c := range checks {
		check, _ := c.(map[string]any)
		protocol, _ := check["protocol"].(string)
		if strings.EqualFold(protocol, "COMMAND") && check["command"] == nil {
			p.find(pointer("healthChecks", strconv.Itoa(i), "command"), remedy{text: `write "command": {"value": "test -e /ready"}, for example`},
				"the health check is COMMAND and has no command")
		}
	}
}

// notNegative finds a setting that is no number, or one below zero.
func (p *probe) notNegative(said map[string]any, tokens ...string) {
	value := said[last(tokens)]
	if value == nil {
		return
	}
	number, isNumber := value.(json.Number)
	if !isNumber {
		if last(tokens) != "instances" { // of which "unreadable" tells
			p.find(pointer(tokens...), remedy{text: "write a number"}, "%s is no number", last(tokens))
		}
		return
	}
	if n, err := number.Float64(); err == nil && n < 0 {
		p.find(pointer(tokens...), remedy{text: "write 0 or more"}, "%s is %s", last(tokens), number)
	}
}

// capacities finds capacities that are not from 0 to 1.
func (p *probe) capacities(strategy map[string]any, at ...string) {
	for _, name := range []string{"minimumHealthCapacity", "maximumOverCapacity"} {
		number, _ := strategy[name].(json.Number)
		if n, err := number.Float64(); err == nil && (n < 0 || n > 1) {
			p.find(pointer(append(at, name)...), remedy{text: "write a number from 0 to 1"}, "%s is %s", name, number)
		}
	}
}

// refusedSingle finds an app without volumes that is marked as a single instance and has
// more. Other rules find that of apps with volumes.
func (p *probe) refusedSingle() {
	if p.ours() || p.app.Labels[singleInstance] != "true" {
		return
	}
	if p.instances > 1 {
		p.find(pointer(p.at.instances...), remedy{text: "set instances to 1"}, "instances is %d, with %s", p.instances, singleInstance)
	}
	if least, over, _ := p.strategy(); least != 0 || over != 0 {
		p.find(pointer(p.at.upgrade...), remedy{text: "set both capacities to 0"},
			"minimumHealthCapacity is %v and maximumOverCapacity is %v, with %s", least, over, singleInstance)
	}
}

func (p *probe) refusedConstraints(value any) {
	list, _ := value.([]any)
	for i, c := range list {
		fields, _ := c.([]any)
		at := pointer("constraints", strconv.Itoa(i))
		if len(fields) < 2 || len(fields) > 3 {
			p.find(at, remedy{text: `write two or three texts, as in ["hostname", "UNIQUE"]`}, "the constraint has %d fields", len(fields))
			continue
		}
		operator, _ := fields[1].(string)
		switch upper := strings.ToUpper(operator); {
		case !slices.Contains(operators, upper):
			p.find(at, remedy{text: "write one of " + strings.Join(operators, ", ")}, "the constraint's operator is %s", strconv.Quote(operator))
		case len(fields) == 2 && (upper == "LIKE" || upper == "UNLIKE" || upper == "IS"):
			p.find(at, remedy{text: "add a value"}, "the constraint %s has no value", operator)
		}
	}
}

func (p *probe) refusedPod(said map[string]any) {
	scaling, _ := said["scaling"].(map[string]any)
	p.notNegative(scaling, "scaling", "instances")
	scheduling, _ := said["scheduling"].(map[string]any)
	upgrade, _ := scheduling["upgrade"].(map[string]any)
	p.capacities(upgrade, "scheduling", "upgrade")
	var names []string
	containers, _ := said["containers"].([]any)
	for i, c := range containers {
		container, _ := c.(map[string]any)
		name, _ := container["name"].(string)
		if name != "" && slices.Contains(names, name) {
			p.find(pointer("containers", strconv.Itoa(i), "name"), remedy{text: "give it another name"}, "two containers are called %s", name)
		}
		names = append(names, name)
	}
}
