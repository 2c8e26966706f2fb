package commands

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "saveconfig",
	Summary: "Save the whole configuration in a file.",
	Help: "saveconfig [y|n] [option]\n\n" + passphraseHelp + "\n" +
		"Fetch the file from the directory configuration with SFTP, SCP or FTP.",
	Source: "public",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		passphrases, err := choosePassphrases(ctx, env)
		if err != nil {
			return err
		}
		base, text, err := configFile(env, passphrases)
		if err != nil {
			return err
		}
		name := base + ".xml"
		for n := 2; ; n++ { // files that are saved within the same second get different names
			if _, err := env.Appliance.Files.Stat(files.Configuration + "/" + name); err != nil {
				break
			}
			name = fmt.Sprintf("%s_%d.xml", base, n)
		}
		err = env.Appliance.Files.WriteFile(files.Configuration+"/"+name, text)
		if errors.Is(err, syscall.ENOSPC) {
			return refusal.Because(err, "The configuration cannot be saved: there is no disk space left.")
		}
		if err != nil {
			return err
		}
		// Clients expect the path to be the eighth word between single blanks.
		env.Printf("File written on machine \"%s\" to the location\n\"/configuration/%s\".\n"+
			"Configuration saved.\n", env.Appliance.Hostname(), name)
		return nil
	},
})
