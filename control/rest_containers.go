package control

import (
	"net/http"

	"github.com/flocker-mesos/flocker/api"
)

// Flocker's containers have been given up long ago; clients that still look
// find none.
func noContainers(w http.ResponseWriter, _ *request) error {
	replyText(w, http.StatusOK, []byte("[]"))
	return nil
}

// refuseContainer says who runs containers now.
func refuseContainer(http.ResponseWriter, *request) error {
	return &httpError{http.StatusGone, api.Errorf(api.CodeInvalid,
		"Flocker does not run containers any more, Marathon does: write the volume into the app's labels, such as "+
			`"flocker.volume.data": "/var/lib/data", and the volume follows the app.`)}
}

// refuseCompose says what does what flocker-deploy did.
func refuseCompose(http.ResponseWriter, *request) error {
	return &httpError{http.StatusGone, api.Errorf(api.CodeInvalid,
		"flocker-deploy, which replaced the whole configuration at once, was given up: deploy apps with Marathon, and "+
			"create, move and delete datasets at /v1/configuration/datasets.")}
}
