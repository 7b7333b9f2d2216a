package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/program"
	"keyladder/mobileclient/phone"
)

func (u *appUse) logCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "log",
		Short: "Print what the app has logged on the command line's phone",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return u.printLog(cmd.OutOrStdout()) },
	}
}

// printLog prints the app's log, from all its starts.
func (u *appUse) printLog(out io.Writer) (err error) {
	name, ok := apps[u.app]
	if !ok {
		return fmt.Errorf("there is no app %q: they are bank and ops", u.app)
	}
	folder, err := new(program.Places).Open(*u.data, deployment.Phone)
	if err != nil {
		return err
	}
	dir, putDown, err := pickUp(folder.Path("command-line"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, putDown()) }()
	d, err := phone.NewDevice(folder, dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	logged, err := d.Log(name)
	if err == nil {
		_, err = out.Write(logged)
	}
	return err
}
