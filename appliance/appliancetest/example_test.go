package appliancetest_test

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/appliancetest"
)

func TestSerialNumber(t *testing.T) {
	box := appliancetest.Start(t)
	client, err := ssh.Dial("tcp", box.SSHAddr, &ssh.ClientConfig{
		User:            "admin",
		Auth:            []ssh.AuthMethod{ssh.Password("ironport")},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.Output("version")
	if err != nil || !strings.Contains(string(out), "Serial #: 421F6D8FB9C75E19C425-C9AEA81B2B70") {
		t.Errorf("version: %v\n%s", err, out)
	}
}
