package openapi

import (
	"bytes"
	_ "embed" // for the document
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var source []byte

// Document is the description of the API.
type Document struct {
	text       []byte // as JSON
	root       map[string]any
	compiler   *jsonschema.Compiler
	rules      map[string]string // see schema
	operations []*Operation
}

// base is what the schemas' compiler knows the document by. Nothing is loaded
// from it.
const base = "flocker:///openapi.json"

// Load reads the document that the program has in it.
func Load() (*Document, error) { return parse(source) }

func parse(text []byte) (*Document, error) {
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("read the description of the API: %w", err)
	}
	encoded, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("encode the description of the API: %w", err)
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		return nil, fmt.Errorf("read the description of the API: %w", err)
	}
	d := &Document{text: encoded, compiler: jsonschema.NewCompiler(), rules: map[string]string{}}
	d.root, _ = root.(map[string]any)
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.RegisterFormat(&jsonschema.Format{Name: "int64", Validate: checkInt64})
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(base, root); err != nil {
		return nil, fmt.Errorf("take the schemas of the API: %w", err)
	}
	d.readRules("", root)
	return d, d.readOperations()
}

// readRules notes what the document calls the rules of patterns.
func (d *Document) readRules(at string, value any) {
	switch v := value.(type) {
	case object:
		if rule, ok := v["x-rule"].(string); ok {
			d.rules[base+"#"+at] = rule
		}
		for key, inner := range v {
			d.readRules(at+pointer(key), inner)
		}
	case []any:
		for i, inner := range v {
			d.readRules(at+pointer(strconv.Itoa(i)), inner)
		}
	}
}

// JSON returns the document as it is served.
func (d *Document) JSON() []byte { return d.text }

// Operations returns all operations, in the order of their paths.
func (d *Document) Operations() []*Operation { return d.operations }

// object is a JSON object of the document.
type object = map[string]any

func (d *Document) readOperations() error {
	paths, _ := d.root["paths"].(object)
	seen := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item, _ := paths[path].(object)
		at := pointer("paths", path)
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete} {
			raw, ok := item[strings.ToLower(method)].(object)
			if !ok {
				continue
			}
			op, err := d.readOperation(at, item, method, raw)
			if err != nil {
				return fmt.Errorf("read the operation %s %s: %w", method, path, err)
			}
			if op.ID == "" || seen[op.ID] {
				return fmt.Errorf("the operation %s %s has no id of its own", method, path)
			}
			seen[op.ID] = true
			op.Path = path
			if op.Pattern == "" {
				op.Pattern = path
			}
			d.operations = append(d.operations, op)
		}
	}
	return nil
}

func (d *Document) readOperation(at string, item object, method string, raw object) (*Operation, error) {
	op := &Operation{Method: method, answers: map[int]answer{}}
	op.ID, _ = raw["operationId"].(string)
	op.Pattern, _ = item["x-pattern"].(string)
	tags, _ := raw["tags"].([]any)
	op.Compatible = slices.Contains(tags, any("flocker"))
	here := at + pointer(strings.ToLower(method))
	for _, list := range []struct {
		at    string
		value any
	}{{at, item["parameters"]}, {here, raw["parameters"]}} {
		parameters, _ := list.value.([]any)
		for i := range parameters {
			p, err := d.readParameter(list.at + pointer("parameters", strconv.Itoa(i)))
			if err != nil {
				return nil, err
			}
			op.parameters = append(op.parameters, p)
		}
	}
	if _, ok := raw["requestBody"]; ok {
		var err error
		if op.body, err = d.schema(here + pointer("requestBody")); err != nil {
			return nil, err
		}
	}
	responses, _ := raw["responses"].(object)
	for status := range responses {
		code, err := strconv.Atoi(status)
		if err != nil {
			return nil, fmt.Errorf("status %q: %w", status, err)
		}
		if op.answers[code], err = d.readAnswer(here + pointer("responses", status)); err != nil {
			return nil, err
		}
	}
	return op, d.addCommonAnswers(op)
}

// addCommonAnswers adds what any operation may answer.
func (d *Document) addCommonAnswers(op *Operation) error {
	for status, name := range map[int]string{
		http.StatusBadRequest: "BadRequest", http.StatusForbidden: "Forbidden", http.StatusMethodNotAllowed: "MethodNotAllowed",
		http.StatusRequestEntityTooLarge: "TooLarge", http.StatusInternalServerError: "Failed", http.StatusServiceUnavailable: "Unavailable",
		http.StatusTooManyRequests: "TooMany",
	} {
		if _, ok := op.answers[status]; ok {
			continue
		}
		if op.Compatible {
			name = "FlockerFailure"
		}
		a, err := d.readAnswer(pointer("components", "responses", name))
		if err != nil {
			return err
		}
		op.answers[status] = a
	}
	return nil
}

func (d *Document) readParameter(at string) (parameter, error) {
	at, raw, err := d.find(at)
	if err != nil {
		return parameter{}, err
	}
	p := parameter{}
	p.name, _ = raw["name"].(string)
	p.in, _ = raw["in"].(string)
	_, shape, err := d.find(at + pointer("schema"))
	if err != nil {
		return parameter{}, err
	}
	p.kind, _ = shape["type"].(string)
	p.schema, err = d.compile(at + pointer("schema"))
	return p, err
}

// readAnswer reads what is answered with a status.
func (d *Document) readAnswer(at string) (answer, error) {
	at, raw, err := d.find(at)
	if err != nil {
		return answer{}, err
	}
	content, _ := raw["content"].(object)
	for kind := range content {
		a := answer{contentType: kind}
		if kind == contentJSON {
			a.schema, err = d.schema(at)
		}
		return a, err
	}
	return answer{}, nil
}

const contentJSON = "application/json"

// schema compiles the schema of a request's or an answer's JSON.
func (d *Document) schema(at string) (*schema, error) {
	at, _, err := d.find(at)
	if err != nil {
		return nil, err
	}
	return d.compile(at + pointer("content", contentJSON, "schema"))
}

func (d *Document) compile(at string) (*schema, error) {
	s, err := d.compiler.Compile(base + "#" + at)
	if err != nil {
		return nil, err
	}
	return &schema{s, d.rules}, nil
}

// find returns the object at a place, and where it really is if there is only a
// reference.
func (d *Document) find(at string) (string, object, error) {
	var here any = d.root
	for step := range strings.SplitSeq(strings.TrimPrefix(at, "/"), "/") {
		step = unescape.Replace(step)
		switch v := here.(type) {
		case object:
			here = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(v) {
				return "", nil, fmt.Errorf("there is no %s", at)
			}
			here = v[i]
		default:
			return "", nil, fmt.Errorf("there is no %s", at)
		}
	}
	found, ok := here.(object)
	if !ok {
		return "", nil, fmt.Errorf("there is no object at %s", at)
	}
	if ref, ok := found["$ref"].(string); ok {
		place, local := strings.CutPrefix(ref, "#")
		if !local {
			return "", nil, errors.New("it refers to another document: " + ref)
		}
		return d.find(place)
	}
	return at, found, nil
}

var (
	escape   = strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", "{", "%7B", "}", "%7D")
	unescape = strings.NewReplacer("~1", "/", "~0", "~", "%7B", "{", "%7D", "}", "%25", "%")
)

// pointer returns a JSON pointer (RFC 6901), as it goes into a URL's fragment.
func pointer(steps ...string) string {
	var b strings.Builder
	for _, step := range steps {
		b.WriteString("/" + escape.Replace(step))
	}
	return b.String()
}
