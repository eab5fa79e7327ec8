// Package v1 is the HTTP side of Mesos' v1 operator API, as recorded from real
// agents and masters: which requests are refused, in which order and words, and in
// which form an answer comes.
package v1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// The media types.
const (
	JSON     = "application/json"
	Protobuf = "application/x-protobuf"
	recordIO = "application/recordio"
)

// Door is the way into an agent or a master.
type Door struct {
	Kind  string           // agent or master
	Types map[string]int32 // of calls, by name
	// Username and Password are what callers must give, "" for nothing.
	Username, Password string
}

// Call is a call in one of the two forms.
type Call struct {
	Type string
	Body []byte
	Form string // JSON or Protobuf
	// Accept is the form that the answer must have.
	Accept string
}

// Refuse answers as Mesos refuses: a text without a line end.
func Refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// NotFound answers for an unknown path, without asking for credentials.
func NotFound(w http.ResponseWriter) { Refuse(w, http.StatusNotFound, "404 Not Found.") }

// Allowed reports whether a caller may go on, and refuses one that may not. The
// realm is readwrite for the v1 API and readonly for the old paths.
func (d *Door) Allowed(w http.ResponseWriter, r *http.Request, realm string) bool {
	user, password, _ := r.BasicAuth()
	if d.Username == "" || user == d.Username && password == d.Password {
		return true
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", "mesos-"+d.Kind+"-"+realm))
	Refuse(w, http.StatusUnauthorized, "401 Unauthorized.")
	return false
}

// Read reads a call. It returns nil where it has refused it.
func (d *Door) Read(w http.ResponseWriter, r *http.Request) *Call {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil // the caller has gone
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		Refuse(w, http.StatusMethodNotAllowed, fmt.Sprintf("405 Method Not Allowed. Expecting one of { 'POST' }, but received '%s'.", r.Method))
		return nil
	}
	c := &Call{Body: body, Form: r.Header.Get("Content-Type")}
	status, text := d.understand(c, r)
	if status != 0 {
		Refuse(w, status, text)
		return nil
	}
	return c
}

// understand reads a call, and returns how it is refused, 0 for not at all.
func (d *Door) understand(c *Call, r *http.Request) (status int, text string) {
	isAgent := d.Kind == "agent"
	switch {
	case c.Form == "":
		return http.StatusBadRequest, "Expecting 'Content-Type' to be present"
	case isAgent && c.Form == recordIO:
		return http.StatusBadRequest, "Expecting 'Message-Content-Type' to be set for streaming requests"
	case c.Form != JSON && c.Form != Protobuf && isAgent:
		return http.StatusUnsupportedMediaType, "Expecting 'Content-Type' of application/json or application/x-protobuf or application/recordio"
	case c.Form != JSON && c.Form != Protobuf:
		return http.StatusUnsupportedMediaType, "Expecting 'Content-Type' of application/json or application/x-protobuf"
	}
	var err error
	if c.Form == JSON {
		c.Type, err = typeOfJSON(c.Body)
	} else {
		c.Type, err = d.typeOfProtobuf(c.Body)
	}
	_, known := d.Types[c.Type]
	switch {
	case err != nil:
		return http.StatusBadRequest, err.Error()
	case c.Type == "UNKNOWN":
		return http.StatusNotImplemented, "501 Not Implemented."
	case !known:
		return http.StatusBadRequest, "Failed to validate " + d.Kind + "::Call: Expecting 'type' to be present"
	}
	if field := c.missing(); field != "" {
		return http.StatusBadRequest, "Failed to validate " + d.Kind + "::Call: Expecting '" + field + "' to be present"
	}
	accept := r.Header.Get("Accept")
	switch {
	case accept == "" || strings.Contains(accept, "*/*") || strings.Contains(accept, JSON):
		c.Accept = JSON
	case strings.Contains(accept, Protobuf):
		c.Accept = Protobuf
	case isAgent:
		return http.StatusNotAcceptable, "Expecting 'Accept' to allow application/json or application/x-protobuf or application/recordio"
	default:
		return http.StatusNotAcceptable, "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'"
	}
	return 0, ""
}

// missing returns the field that a call in JSON lacks. Calls that ask have none.
func (c *Call) missing() string {
	verbs := []string{"KILL_", "WAIT_", "LAUNCH_", "REMOVE_", "ATTACH_", "MARK_", "DRAIN_", "REACTIVATE_", "DEACTIVATE_", "SET_"}
	if c.Form != JSON || !slices.ContainsFunc(verbs, func(v string) bool { return strings.HasPrefix(c.Type, v) }) {
		return ""
	}
	field := strings.ToLower(c.Type)
	var fields map[string]json.RawMessage
	if json.Unmarshal(c.Body, &fields) == nil && fields[field] != nil {
		return ""
	}
	return field
}

func typeOfJSON(body []byte) (string, error) {
	var value any
	err := json.Unmarshal(body, &value)
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		near := ""
		if e.Offset > 0 && len(body) > 0 {
			near = string(body[e.Offset-1:])
		}
		return "", fmt.Errorf("Failed to parse body into JSON: syntax error at line 1 near: %s", near) //nolint:staticcheck // as Mesos says it
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return "", errors.New("Expecting a JSON object") //nolint:staticcheck // as Mesos says it
	}
	switch t := fields["type"].(type) {
	case string:
		return t, nil
	case float64:
		return "", errors.New("Not expecting a JSON number for field 'type'") //nolint:staticcheck // as Mesos says it
	default:
		return "", nil
	}
}

// typeOfProtobuf reads the first field, which every call has there.
func (d *Door) typeOfProtobuf(body []byte) (string, error) {
	if len(body) == 0 {
		return "", nil
	}
	if len(body) < 2 || body[0] != 0x08 || body[1] >= 0x80 {
		return "", errors.New("Failed to parse body into a protobuf object") //nolint:staticcheck // as Mesos says it
	}
	if body[1] == 0 {
		return "UNKNOWN", nil
	}
	for name, number := range d.Types {
		if number == int32(body[1]) {
			return name, nil
		}
	}
	return "", nil
}

// Message is a message of mesos-go.
type Message interface {
	Marshal() ([]byte, error)
	Unmarshal(data []byte) error
}

// Decode reads the call into its message, and refuses it if that fails.
func (c *Call) Decode(w http.ResponseWriter, m Message) bool {
	var err error
	if c.Form == Protobuf {
		err = m.Unmarshal(c.Body)
	} else {
		err = json.Unmarshal(c.Body, m)
	}
	if err != nil {
		Refuse(w, http.StatusBadRequest, "Failed to parse body into a protobuf object")
	}
	return err == nil
}

// Answer writes a message in the form that was asked for. Extend may add to its JSON
// what mesos-go's messages do not know, and may be nil.
func (c *Call) Answer(w http.ResponseWriter, m Message, extend func(map[string]any)) error {
	var out []byte
	var err error
	if c.Accept == Protobuf {
		out, err = m.Marshal()
	} else {
		out, err = InJSON(m, extend)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", c.Accept)
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	_, err = w.Write(out)
	return err
}

// InJSON writes a message as Mesos does: what is not set is absent, where mesos-go
// writes null.
func InJSON(m any, extend func(map[string]any)) ([]byte, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	withoutNulls(tree)
	if extend != nil {
		extend(tree.(map[string]any))
	}
	return json.Marshal(tree)
}

// Reply answers a request of before the v1 API.
func Reply(w http.ResponseWriter, v any) {
	data, err := InJSON(v, nil)
	if err != nil {
		panic(fmt.Sprintf("encode %v: %v", v, err))
	}
	w.Header().Set("Content-Type", JSON)
	_, _ = w.Write(data)
}

// Version is that of the recorded masters and agents.
var Version = mesos.VersionInfo{
	Version: "1.12.0", BuildDate: new("now"), BuildTime: new(1.0), BuildUser: new("root"),
	GitSHA: new("c1b42f79d157aa900be5cbb0c1023f1479962aa7"), GitBranch: new("refs/heads/master"),
}

// Flags returns flags as messages have them.
func Flags(flags map[string]string) []mesos.Flag {
	var list []mesos.Flag
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		list = append(list, mesos.Flag{Name: name, Value: new(flags[name])})
	}
	return list
}

func withoutNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, field := range v {
			if field == nil {
				delete(v, key)
				continue
			}
			withoutNulls(field)
		}
	case []any:
		for i := range v {
			withoutNulls(v[i])
		}
	}
}
