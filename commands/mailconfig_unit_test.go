package commands_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/clock"
)

// TestMailedConfigurationArrives: the mail server of the recipients gets the file that saveconfig
// saves at the same moment, with the chosen treatment of passphrases.
func TestMailedConfigurationArrives(t *testing.T) {
	now := time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)
	b := appliancetest.Start(t, appliancetest.Clock(clock.NewFake(now)))
	for i, how := range []string{"y 1", "n 2"} {
		b.Exec("saveconfig " + how)
		b.Exec("mailconfig joe@example.com " + how)
		arrived, err := b.Mail("mail").Await(t.Context(), i+1)
		if err != nil {
			t.Fatal(err)
		}
		saved, err := fs.Glob(b.Files(), "data/pub/configuration/*.xml")
		if err != nil || len(saved) != 1 {
			t.Fatal(saved, err)
		}
		want, err := fs.ReadFile(b.Files(), saved[0])
		if err != nil {
			t.Fatal(err)
		}
		name, got := attachment(t, arrived[i].Data())
		if !strings.HasSuffix(saved[0], "/"+name) || !bytes.Equal(got, want) {
			t.Errorf("%s: the attachment %s is not the file %s:\n%s", how, name, saved[0], got)
		}
		if err := b.Appliance().Files.Remove(saved[0]); err != nil {
			t.Fatal(err)
		}
	}
}

// attachment returns the second part of a message, and its file name.
func attachment(t *testing.T, message []byte) (name string, data []byte) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	_, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, parameters["boundary"])
	if _, err := parts.NextPart(); err != nil {
		t.Fatal(err)
	}
	file, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	data, err = io.ReadAll(base64.NewDecoder(base64.StdEncoding, file))
	if err != nil {
		t.Fatal(err)
	}
	return file.FileName(), data
}
