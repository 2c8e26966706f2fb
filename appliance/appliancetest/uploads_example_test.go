package appliancetest_test

import (
	"fmt"
	"path"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// The appliance uploads a log to an FTP server when its file is finished.
func ExampleBox_Uploads() {
	box := appliancetest.Start(t)
	_, err := box.LoadConfig([]byte(`<config><log_subscriptions><log_subscription>
<name>by_ftp</name><type>cli</type><level>3</level><file_name>typed</file_name>
<rollover_size>10485760</rollover_size><rollover_time>none</rollover_time><max_files>10</max_files>
<retrieval>ftp_push</retrieval><file_push><hostname>logs.example.com</hostname>
<username>esa</username><passphrase>ironport</passphrase><directory>/logs</directory></file_push>
</log_subscription></log_subscriptions></config>`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := box.CommitConfig(t.Context(), appliancetest.User, "a log by FTP"); err != nil {
		t.Fatal(err)
	}
	box.Exec("rollovernow by_ftp")
	files, err := box.Uploads("logserver/ftpd").Await(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(files[0].User, path.Dir(files[0].Name), files[0].Whole)
	// Output: esa /logs true
}
