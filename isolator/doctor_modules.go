package isolator

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// judgeModules looks at the configuration of the command isolator.
func judgeModules(f *Facts) []Finding {
	const subject = "--modules"
	switch {
	case f.ModulesErr != nil:
		return []Finding{fail(subject, "%v", f.ModulesErr)}
	case f.Modules == nil && f.flags()["modules_dir"] != "":
		return []Finding{warn(subject, "are in %s: name the file that is about flocker with --modules",
			f.flags()["modules_dir"])}
	case f.Modules == nil && f.flags() != nil:
		return []Finding{fail(subject, "is not set: without the command isolator Mesos never calls %s-prepare", programName)}
	case f.Modules == nil:
		return nil
	}
	var findings []Finding
	library, module := findModule(f.Modules)
	if module == nil {
		return []Finding{fail(subject, "no module %s has a command %s-prepare: add one, as the manual shows",
			moduleName, programName)}
	}
	findings = append(findings, ok(subject, "module %s calls flocker", module.Name))
	if e := f.Executables[library.File]; library.File != "" && e.Err != nil {
		findings = append(findings, fail("module library", "%s: %v", library.File, e.Err))
	}
	if f.flags() != nil && !slices.Contains(splitList(f.flags()["isolation"]), module.Name) {
		findings = append(findings, fail("--isolation", "lacks %s, so the module is loaded but never called: add it to %q",
			module.Name, f.flags()["isolation"]))
	}
	return append(findings, judgeParameters(f, module.parameters())...)
}

// findModule returns the command isolator that calls flocker, under right or
// wrong parameter names, or else the first command isolator.
func findModule(modules *Modules) (*Library, *Module) {
	var library *Library
	var module *Module
	for i := range modules.Libraries {
		l := &modules.Libraries[i]
		for j := range l.Modules {
			m := &l.Modules[j]
			if !isCommandIsolator(m.Name) {
				continue
			}
			if slices.ContainsFunc(m.Parameters, func(p Parameter) bool { return strings.Contains(p.Value, programName) }) {
				return l, m
			}
			if module == nil {
				library, module = l, m
			}
		}
	}
	return library, module
}

func judgeParameters(f *Facts, parameters map[string]string) []Finding {
	var findings []Finding
	if parameters[keyModuleName] == "" {
		findings = append(findings, fail(keyModuleName, "is missing, without which the Mesos agent does not start: "+
			"add it with the value flocker"))
	}
	for _, call := range []struct {
		key    string
		needed time.Duration
	}{
		{keyPrepare, acquireTimeout + labelsTimeout},
		{keyCleanup, releaseTimeout},
	} {
		findings = append(findings, judgeCommand(f, parameters, call.key))
		if text, set := parameters[call.key+suffixTimeout]; set {
			findings = append(findings, judgeTimeout(call.key+suffixTimeout, text, call.needed))
		}
	}
	return findings
}

func judgeCommand(f *Facts, parameters map[string]string, key string) Finding {
	name := key + suffixCommand
	path := parameters[name]
	program := strings.Replace(key, "isolator_", programName+"-", 1)
	switch {
	case path == "" && parameters[key] != "":
		// The example that comes with the modules has the old names.
		return fail(name, "is missing: the parameter is called %s here, which the module ignores; rename it", key)
	case path == "":
		return fail(name, "is missing: add it with the path of %s", program)
	case strings.ContainsAny(path, " \t"):
		return fail(name, "%q must be a path alone: the module passes no arguments of its own", path)
	case f.Executables[path].Err != nil:
		return fail(name, "%s: %v", path, f.Executables[path].Err)
	case !strings.HasSuffix(path, "/"+program):
		return fail(name, "%s must be called %s, because the program acts by its name: link that to it", path, program)
	}
	return ok(name, "is %s", path)
}

func judgeTimeout(name, text string, needed time.Duration) Finding {
	seconds, err := strconv.Atoi(text)
	switch timeout := time.Duration(seconds) * time.Second; {
	case err != nil || seconds < 0:
		return fail(name, "%q must be whole seconds", text)
	case timeout <= needed:
		return fail(name, "is %v, but the call may take %v, and Mesos would not hear why it failed: make it 30", timeout, needed)
	}
	return ok(name, "is %s s", text)
}
