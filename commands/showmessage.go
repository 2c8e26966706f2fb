package commands

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "showmessage",
	Summary: "Show a message in the queue.",
	Help:    "showmessage MID",
	Source:  "mail.md 3.7",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		m, err := askMessage(ctx, env, "Enter the MID to show.", "")
		if err != nil {
			return err
		}
		body, err := openMessage(env, m.MID)
		if err != nil {
			return err
		}
		defer body.Close()
		out, in := env.Pager(ctx), bufio.NewReader(body)
		for {
			line, err := in.ReadString('\n')
			if line != "" {
				_, writeErr := fmt.Fprintln(out, mailText(strings.TrimRight(line, "\r\n")))
				err = errors.Join(err, writeErr)
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	},
})
