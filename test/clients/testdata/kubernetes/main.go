// Command kubernetes makes one call of the Flocker client that Kubernetes had,
// with the variables that its plugin took, and prints what came of it as JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	flocker "github.com/ClusterHQ/flocker-go"
)

func main() {
	if err := call(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func call(args []string) error {
	port, err := strconv.Atoi(os.Getenv("FLOCKER_CONTROL_SERVICE_PORT"))
	if err != nil {
		return err
	}
	c, err := flocker.NewClient(os.Getenv("FLOCKER_CONTROL_SERVICE_HOST"), port, os.Getenv("HOST_IP"),
		os.Getenv("FLOCKER_CONTROL_SERVICE_CA_FILE"), os.Getenv("FLOCKER_CONTROL_SERVICE_CLIENT_KEY_FILE"),
		os.Getenv("FLOCKER_CONTROL_SERVICE_CLIENT_CERT_FILE"))
	if err != nil {
		return err
	}
	c.SetSize(os.Getenv("SIZE"))
	var result any
	switch args[0] {
	case "primary":
		result, err = c.GetPrimaryUUID()
	case "create":
		result, err = c.CreateDataset(args[1])
	case "id":
		result, err = c.GetDatasetID(args[1])
	case "state":
		result, err = c.GetDatasetState(args[1])
	case "move":
		result, err = c.UpdatePrimaryForDataset(args[1], args[2])
	default:
		err = fmt.Errorf("no call %q", args[0])
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
