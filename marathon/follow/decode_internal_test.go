package follow

import (
	"encoding/json"

	"github.com/flocker-mesos/flocker/marathon"
)

func decodeApp(text []byte) (*marathon.App, error) {
	var app marathon.App
	err := json.Unmarshal(text, &app)
	return &app, err
}
