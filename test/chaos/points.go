package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var pointCall = regexp.MustCompile(`fault\.Point\("([^"]+)"\)`)

// faultPoints returns the names of the fault points in the sources of packages
// of the module.
func faultPoints(root string, dirs ...string) ([]string, error) {
	var names []string
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			for _, call := range pointCall.FindAllSubmatch(text, -1) {
				names = append(names, string(call[1]))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
