// Command driver calls the loopback backend once, so that a test can kill it
// or run two at once: driver ROOT INSTANCE OPERATION VOLUME. It waits for a
// line on its standard input before it begins, and prints what came out.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/backend/loopback"
)

const size = 64 << 20

func main() {
	root, instance, operation, id := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	b, err := loopback.New(loopback.Config{RootPath: root, InstanceID: instance})
	if err != nil {
		fmt.Println("cannot open:", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		os.Exit(1)
	}
	ctx := context.Background()
	switch operation {
	case "create":
		_, err = b.Create(ctx, backend.CreateRequest{DatasetID: id, Size: size, Name: "old"})
	case "attach":
		err = b.Attach(ctx, id, instance)
	case "detach":
		err = b.Detach(ctx, id, instance, backend.DetachNormal)
	case "destroy":
		err = b.Destroy(ctx, id)
	case "name":
		err = b.SetName(ctx, id, "new")
	case "grow":
		_, err = b.Grow(ctx, id, 2*size)
	default:
		err = errors.New("no such operation")
	}
	if _, ok := errors.AsType[*backend.AttachedElsewhereError](err); ok {
		fmt.Println("elsewhere")
		return
	}
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("done")
}
