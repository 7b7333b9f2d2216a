package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
)

func settingsCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "settings [NAME=VALUE ...]",
		Short: "Show a deployment's lifetimes and limits, or change some",
		Long: `Show a deployment's lifetimes and limits, or change some.

They are in settings.json in the folder of each program that has any, which can be edited,
too. A program reads them when it starts. With Docker:

  docker compose exec resource stages settings session_idle=1m
  docker compose restart resource`,
		Example: "  stages settings session_idle=1m session_lifetime=1h",
		RunE: func(c *cobra.Command, args []string) error {
			changes := map[string]string{}
			for _, arg := range args {
				name, value, ok := strings.Cut(arg, "=")
				if !ok {
					return fmt.Errorf("%q is not NAME=VALUE", arg)
				}
				changes[name] = value
			}
			folders, err := foldersWithSettings(dir)
			if err != nil {
				return err
			}
			if len(changes) == 0 {
				return showSettings(c, folders)
			}
			return changeSettings(c, folders, changes)
		},
	}
	dataFlag(c, &dir)
	return c
}

// foldersWithSettings are those that are here: a container has its program's alone.
func foldersWithSettings(dir string) ([]*deployment.Folder, error) {
	var folders []*deployment.Folder
	var missing error
	for _, program := range deployment.Programs() {
		if len(deployment.SettingsOf(program.Role)) == 0 {
			continue
		}
		folder, err := deployment.Open(dir, program.Role)
		if errors.Is(err, deployment.ErrMissing) {
			missing = err
			continue
		}
		if err != nil {
			return nil, err
		}
		folders = append(folders, folder)
	}
	if len(folders) == 0 {
		return nil, missing
	}
	return folders, nil
}

func showSettings(c *cobra.Command, folders []*deployment.Folder) error {
	table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, folder := range folders {
		values, err := folder.Settings()
		if err != nil {
			return err
		}
		for _, setting := range deployment.SettingsOf(folder.Role) {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", folder.Role, setting.Name, setting.Text(values), setting.What)
		}
	}
	return table.Flush()
}

// changeSettings changes them for all programs that have them, or none.
func changeSettings(c *cobra.Command, folders []*deployment.Folder, changes map[string]string) error {
	changed := make([]deployment.Settings, len(folders))
	for i, folder := range folders {
		values, err := folder.Settings()
		if err != nil {
			return err
		}
		if err := values.ChangeAll(folder.Role, changes); err != nil {
			return err
		}
		changed[i] = values
	}
	for i, folder := range folders {
		if err := folder.WriteSettings(changed[i]); err != nil {
			return err
		}
	}
	fmt.Fprintln(c.OutOrStdout(), "changed; programs take it at their next start")
	return nil
}
