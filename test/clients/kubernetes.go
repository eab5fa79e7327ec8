package clients

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// kubernetesTool is the program that makes calls of Kubernetes' client.
const kubernetesTool = "kubernetes-flocker"

// clientSource is where `make flocker-go` has put what Debian's package has.
const clientSource = "../../.cache/flocker-go"

// buildKubernetesClient builds the program with the client's own source, in a
// scratch module, and returns its path.
func buildKubernetesClient(ctx context.Context, dir string) (string, error) {
	sources, err := filepath.Glob(filepath.Join(clientSource, "*.go"))
	if err != nil {
		return "", err
	}
	if len(sources) == 0 {
		return "", fmt.Errorf("the Flocker client of Kubernetes is not in %s: make flocker-go gets it from Debian's package", clientSource)
	}
	const module = "github.com/ClusterHQ/flocker-go"
	client := filepath.Join(dir, "flocker-go")
	files := map[string]string{
		"testdata/kubernetes/main.go":     filepath.Join(dir, "main.go"),
		"testdata/kubernetes/size.go.txt": filepath.Join(client, "size.go"),
	}
	for _, s := range sources {
		if match, _ := filepath.Match("*_test.go", filepath.Base(s)); !match {
			files[s] = filepath.Join(client, filepath.Base(s))
		}
	}
	if err := os.MkdirAll(client, 0o755); err != nil {
		return "", err
	}
	errs := []error{
		write(filepath.Join(client, "go.mod"), "module "+module+"\n\ngo 1.21\n"),
		write(filepath.Join(dir, "go.mod"), "module scratch\n\ngo 1.21\n\nrequire "+module+" v0.0.0\n\nreplace "+module+" => ./flocker-go\n"),
	}
	for from, to := range files {
		text, err := os.ReadFile(from)
		errs = append(errs, err, write(to, string(text)))
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	program := filepath.Join(dir, kubernetesTool)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build Kubernetes' client: %w: %s", err, out)
	}
	return program, nil
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), fs.FileMode(0o644)) }
