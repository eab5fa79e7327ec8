package isolator

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Modules is the file that a Mesos agent reads with --modules.
type Modules struct {
	Libraries []Library `json:"libraries"`
}

// Library is a shared object with modules.
type Library struct {
	File    string   `json:"file,omitempty"`
	Name    string   `json:"name,omitempty"` // instead of File, to be searched
	Modules []Module `json:"modules"`
}

// Module is one module with its configuration.
type Module struct {
	Name       string      `json:"name"`
	Parameters []Parameter `json:"parameters,omitempty"`
}

// Parameter configures a module.
type Parameter struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// moduleName is the command isolator of criteo's mesos-command-modules. Its
// library has ten more of them, with the numbers 2 to 11 after the name.
const moduleName = "com_criteo_mesos_CommandIsolator"

// isCommandIsolator reports whether a module is one of them.
func isCommandIsolator(name string) bool {
	number, ok := strings.CutPrefix(name, moduleName)
	if !ok || number == "" {
		return ok
	}
	n, err := strconv.Atoi(number)
	return err == nil && n >= 2 && n <= 11
}

// parameters returns the module's parameters by key. Of several the last counts.
func (m *Module) parameters() map[string]string {
	values := make(map[string]string, len(m.Parameters))
	for _, p := range m.Parameters {
		values[p.Key] = p.Value
	}
	return values
}

// The parameters that matter. A call that has no command costs Mesos nothing,
// which is why isolate, where nothing is to be done, is not configured.
const (
	keyModuleName = "module_name"
	keyPrepare    = "isolator_prepare"
	keyCleanup    = "isolator_cleanup"
	suffixCommand = "_command"
	suffixTimeout = "_timeout"
)

// ModulesJSON returns a file for --modules of a Mesos agent, with the library
// of the command modules and the programs flocker-isolator-prepare and
// flocker-isolator-cleanup in dir.
func ModulesJSON(dir, library string) ([]byte, error) {
	modules := Modules{Libraries: []Library{{
		File: library,
		Modules: []Module{{Name: moduleName, Parameters: []Parameter{
			{keyModuleName, "flocker"},
			{keyPrepare + suffixCommand, filepath.Join(dir, programName+"-prepare")},
			{keyCleanup + suffixCommand, filepath.Join(dir, programName+"-cleanup")},
		}}},
	}}}
	data, err := json.MarshalIndent(modules, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write modules: %w", err)
	}
	return append(data, '\n'), nil
}
