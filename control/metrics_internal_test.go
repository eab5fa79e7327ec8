package control

import (
	"net/http"
	"testing"

	"github.com/flocker-mesos/flocker/control/openapi"
)

func TestMetricsTellTheMethodsOfTheAPIApart(t *testing.T) {
	document, err := openapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range document.Operations() {
		if got := methodLabel(op.Method); got != op.Method {
			t.Errorf("%s %s: counted as %q", op.Method, op.Path, got)
		}
	}
	for _, method := range []string{http.MethodTrace, "BREW", ""} {
		if got := methodLabel(method); got != "other" {
			t.Errorf("%q: counted as %q, want other", method, got)
		}
	}
}
