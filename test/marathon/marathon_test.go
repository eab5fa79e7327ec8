package marathon_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/marathon"
	"github.com/flocker-mesos/flocker/test/mesos"
)

func definition(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "definition.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAppBecomesACommandTaskWithMarathonsEnvironment(t *testing.T) {
	app, err := marathon.ReadApp(definition(t, `{"id":"/prod/db","cmd":"true","cpus":0.5,"mem":64,
		"env":{"A":"1"},"labels":{"flocker.volume.data":"/data","flocker.volume.data.size":"1G","long":"`+strings.Repeat("x", 600)+`"},
		"container":{"type":"MESOS","docker":{"image":"debian"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	task := app.Task()
	if !strings.HasPrefix(task.ID, "prod_db.instance-") || task.Name != "db.prod" || task.Image != "debian" {
		t.Errorf("task is %+v", task)
	}
	for _, want := range []mesos.Variable{
		mesos.Var("A", "1"), mesos.Var("MARATHON_APP_ID", "/prod/db"),
		mesos.Var("MARATHON_APP_LABEL_FLOCKER_VOLUME_DATA", "/data"),
		mesos.Var("MARATHON_APP_LABELS", "FLOCKER_VOLUME_DATA FLOCKER_VOLUME_DATA_SIZE"),
	} {
		if !slices.Contains(task.Env, want) {
			t.Errorf("the environment %v has no %v", task.Env, want)
		}
	}
	if len(task.Labels) != 3 || task.Labels[0] != (mesos.Label{Key: "flocker.volume.data", Value: "/data"}) {
		t.Errorf("labels are %v", task.Labels)
	}
}

func TestPodBecomesATaskGroup(t *testing.T) {
	pod, err := marathon.ReadPod(definition(t, `{"id":"/shop","labels":{"team":"x"},"containers":[
		{"name":"web","exec":{"command":{"shell":"true"}},"resources":{"cpus":0.1,"mem":32},
		 "labels":{"flocker.volume.data":"path=/data"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	g := pod.Group()
	if len(g.Tasks) != 1 || g.Tasks[0].Command != "true" || g.Labels[0].Key != "team" {
		t.Fatalf("group is %+v", g)
	}
	for _, want := range []mesos.Variable{
		mesos.Var("MARATHON_APP_LABEL_TEAM", "x"), mesos.Var("MARATHON_APP_LABEL_FLOCKER_VOLUME_DATA", "path=/data"),
	} {
		if !slices.Contains(g.Tasks[0].Env, want) {
			t.Errorf("the environment %v has no %v", g.Tasks[0].Env, want)
		}
	}
}

func TestTypoInADefinitionIsSeen(t *testing.T) {
	if _, err := marathon.ReadApp(definition(t, `{"id":"/x","lables":{}}`)); err == nil {
		t.Error("read a definition with a typo")
	}
}
