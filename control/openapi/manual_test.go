package openapi_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/api.md anew")

// The manual of the API is made from the document and nothing else.
func TestManualIsMadeFromTheDocument(t *testing.T) {
	const file = "../../docs/api.md"
	var m manual
	if err := json.Unmarshal(load(t).JSON(), &m.root); err != nil {
		t.Fatal(err)
	}
	want := m.write()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the document says; go test ./control/openapi -run Manual -update mends it", file)
	}
}

type node = map[string]any

// manual writes Markdown.
type manual struct {
	root node
	out  strings.Builder
}

func (m *manual) say(format string, args ...any) { fmt.Fprintf(&m.out, format+"\n", args...) }

// at returns an object of a node, wherever it really is.
func (m *manual) at(n node, key string) node { return m.deref(n[key]) }

func (m *manual) deref(value any) node {
	n, _ := value.(node)
	ref, ok := n["$ref"].(string)
	if !ok {
		return n
	}
	here := m.root
	for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		here, _ = here[step].(node)
	}
	found := maps.Clone(m.deref(here))
	for key, value := range n { // what is said beside a reference
		if key != "$ref" {
			found[key] = value
		}
	}
	return found
}

func text(n node, key string) string {
	s, _ := n[key].(string)
	return strings.TrimSpace(s)
}

func line(n node, key string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text(n, key)), " "), "|", `\|`)
}

func (m *manual) write() string {
	m.say("<!-- Made from control/openapi/openapi.yaml by `go test ./control/openapi -run Manual -update`. -->\n")
	m.say("# The REST API\n\n%s", text(m.at(m.root, "info"), "description"))
	m.say(`
The document that this page is made from is at ` + "`/v1/openapi.json`" + ` of every control service (OpenAPI 3.1).
Requests are held against it. With curl:

    curl --cacert cluster.crt --cert alice.crt --key alice.key https://CONTROL:4523/v1/volumes
`)
	paths, tags := m.at(m.root, "paths"), m.root["tags"].([]any)
	for _, t := range tags {
		tag := t.(node)
		m.say("## %s%s\n\n%s\n", strings.ToUpper(text(tag, "name")[:1]), text(tag, "name")[1:], text(tag, "description"))
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			item := m.at(paths, path)
			for _, method := range []string{"get", "post", "patch", "delete"} {
				op, ok := item[method].(node)
				if ok && slices.Contains(op["tags"].([]any), t.(node)["name"]) {
					m.operation(strings.ToUpper(method), path, item, op)
				}
			}
		}
	}
	m.say("## Schemas\n\nFields that are not marked as required may be absent.\n")
	schemas := m.at(m.at(m.root, "components"), "schemas")
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		s := m.at(schemas, name)
		if _, ok := s["properties"]; !ok {
			continue
		}
		m.say("### %s\n", name)
		if d := text(s, "description"); d != "" {
			m.say("%s\n", d)
		}
		m.fields(s)
	}
	return strings.TrimRight(m.out.String(), "\n") + "\n"
}

func (m *manual) operation(method, path string, item, op node) {
	m.say("### %s %s\n\n%s.\n", method, path, text(op, "summary"))
	if d := text(op, "description"); d != "" {
		m.say("%s\n", d)
	}
	m.parameters(item, op)
	if body := m.at(op, "requestBody"); body != nil {
		media := m.at(m.at(body, "content"), "application/json")
		m.say("The body is a JSON object:\n")
		m.fields(m.at(media, "schema"))
		m.example(media)
	}
	responses := m.at(op, "responses")
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		m.response(status, m.at(responses, status))
	}
	m.say("")
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		content := m.at(m.at(responses, status), "content")
		for _, kind := range slices.Sorted(maps.Keys(content)) {
			m.example(m.at(content, kind))
		}
	}
}

func (m *manual) parameters(item, op node) {
	var rows []string
	for _, list := range []any{item["parameters"], op["parameters"]} {
		all, _ := list.([]any)
		for _, raw := range all {
			p := m.deref(raw)
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", text(p, "name"), text(p, "in"), m.kind(m.at(p, "schema")), line(p, "description")))
		}
	}
	if len(rows) > 0 {
		m.say("| parameter | in | type | |\n|---|---|---|---|\n%s\n", strings.Join(rows, "\n"))
	}
}

func (m *manual) response(status string, r node) {
	shape := ""
	content := m.at(r, "content")
	for _, kind := range slices.Sorted(maps.Keys(content)) {
		schema, _ := m.at(content, kind)["schema"].(node)
		if kind == "application/json" {
			shape = " (" + m.kind(schema) + ")"
		} else {
			shape = " (`" + kind + "`)"
		}
	}
	m.say("* **%s**%s: %s", status, shape, strings.Join(strings.Fields(text(r, "description")), " "))
	headers := m.at(r, "headers")
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if d := line(m.at(headers, name), "description"); d != "" {
			m.say("  `%s`: %s", name, d)
		}
	}
}

func (m *manual) fields(s node) {
	properties := m.at(s, "properties")
	if len(properties) == 0 {
		return
	}
	required, _ := s["required"].([]any)
	m.say("| field | type | |\n|---|---|---|")
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		raw := properties[name].(node)
		what := line(raw, "description")
		if full := m.deref(raw); what == "" && full["properties"] == nil {
			what = line(full, "description")
		}
		if slices.Contains(required, any(name)) {
			what = strings.TrimSpace("required. " + what)
		}
		m.say("| `%s` | %s | %s |", name, m.kind(raw), what)
	}
	m.say("")
}

// kind says in a few words what values a schema lets through.
func (m *manual) kind(s node) string {
	if ref, ok := s["$ref"].(string); ok {
		name := ref[strings.LastIndex(ref, "/")+1:]
		if _, isObject := m.deref(s)["properties"]; isObject {
			return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
		}
		s = m.deref(s)
	}
	if rule := text(s, "x-rule"); rule != "" && s["pattern"] != nil {
		return rule
	}
	if all, ok := s["enum"].([]any); ok {
		return "`" + strings.Trim(strings.Join(strings.Fields(fmt.Sprint(all)), "` `"), "[]") + "`"
	}
	if value, ok := s["const"]; ok {
		return fmt.Sprintf("`%v`", value)
	}
	if items, ok := s["items"].(node); ok {
		return "array of " + m.kind(items)
	}
	if text(s, "format") == "date-time" {
		return "time (RFC 3339)"
	}
	kind := fmt.Sprint(s["type"])
	if all, ok := s["type"].([]any); ok {
		kind = strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", " or "), "[]")
	}
	for _, limit := range []struct{ key, words string }{
		{"minimum", "from %v"}, {"maximum", "up to %v"}, {"multipleOf", "a multiple of %v"}, {"maxLength", "at most %v characters"}, {"maxProperties", "at most %v entries"},
	} {
		if v, ok := s[limit.key]; ok {
			if n, isNumber := v.(float64); isNumber {
				v = int64(n)
			}
			kind += ", " + fmt.Sprintf(limit.words, v)
		}
	}
	return kind
}

// example shows the example of a content, where there is one.
func (m *manual) example(media node) {
	value, ok := media["example"]
	if !ok {
		return
	}
	shown, isText := value.(string)
	if !isText {
		encoded, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			return
		}
		shown = string(encoded)
	}
	m.say("```\n%s\n```\n", strings.TrimSpace(shown))
}

// Every example fits its schema, so that nobody is shown what does not work.
func TestExamplesFitTheirSchemas(t *testing.T) {
	var tree node
	if err := json.Unmarshal(load(t).JSON(), &tree); err != nil {
		t.Fatal(err)
	}
	m := manual{root: tree}
	for _, op := range load(t).Operations() {
		raw := m.at(m.at(m.at(tree, "paths"), op.Path), strings.ToLower(op.Method))
		if example, ok := m.at(m.at(m.at(raw, "requestBody"), "content"), "application/json")["example"]; ok {
			if err := op.CheckBody(encode(t, example)); err != nil {
				t.Errorf("%s: the example of the body: %v", op.ID, err)
			}
		}
		responses := m.at(raw, "responses")
		for status := range responses {
			example, ok := m.at(m.at(m.at(responses, status), "content"), "application/json")["example"]
			if !ok {
				continue
			}
			code, err := strconv.Atoi(status)
			if err != nil {
				t.Fatal(err)
			}
			if err := op.CheckAnswer(code, "application/json", encode(t, example)); err != nil {
				t.Errorf("the example: %v", err)
			}
		}
	}
}

func encode(t *testing.T, value any) []byte {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}
