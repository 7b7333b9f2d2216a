// App builds the programs of the bank's app as they are shipped, and says in which variables of
// the environment whoever packs an app looks for them. Most tests do, and each process would build
// its own.
//
//	go run ./.ci/app FOLDER
package main

import (
	"context"
	"fmt"
	"os"

	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: app FOLDER")
		os.Exit(2)
	}
	programs, err := build.Build(context.Background(), os.Args[1], deploy.Ways(catalog.All())...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
	for how, path := range programs {
		fmt.Printf("%s=%s\n", build.Env(how), path)
	}
}
