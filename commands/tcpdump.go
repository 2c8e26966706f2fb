package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "tcpdump",
	Summary: "Dump ethernet packets, before AsyncOS 7.",
	Help: "Only one capture runs at a time. It ends when you leave the menu. Captures are kept in\n" +
		"the directory diagnostic: fetch them with SCP or FTP. AsyncOS 7 and later have\n" +
		"packetcapture instead.",
	Source: "B3, B4, B24 to B32 (menu, rules); invented (answers)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Mode:   shell.MachineMode,
	Run: func(ctx context.Context, env *shell.Env) error {
		if !env.Appliance.Product.Version.Before(product.Version{Major: 7}) {
			return refusal.New("The command tcpdump has been replaced by packetcapture. " +
				"Use packetcapture instead.")
		}
		return captureMenu(ctx, env)
	},
})
