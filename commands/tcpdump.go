package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "tcpdump",
	Summary: "Dump ethernet packets, before AsyncOS 7.",
	Help: "tcpdump [start | stop | status | clear]\n" +
		"tcpdump [filter <expression> | interface <name>]\n\n" +
		"Only one capture run at a time. It ends when you leave the menu. Captures are kept in\n" +
		"the directory diagnostic: fetch them with SCP or FTP. AsyncOS 7 and later have\n" +
		"packetcapture instead.\n\n" +
		foldHelp(capture.Warning),
	Source: "B3, B4, B24 to B32 (menu, rules); invented (answers)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if !env.Appliance.Product.Version.Before(product.Version{Major: 7}) {
			return refusal.New("The command tcpdump has been replaced by packetcapture. " +
				"Use packetcapture instead.")
		}
		return captureMenu(ctx, env, env.Args)
	},
})
