package box

import "bytes"

// CheckSnapshotFile reads the file of a snapshot and returns the names of the files in it.
func CheckSnapshotFile(file []byte) (names []string, err error) {
	s, err := readSnapshot(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	for _, f := range s.files.all() {
		names = append(names, f.name)
	}
	return names, nil
}

// SnapshotFileOf returns the file of a snapshot with the content of a directory.
func SnapshotFileOf(dir string) ([]byte, error) {
	files, err := readContent(dir)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = (&snapshot{files: files}).write(&b)
	return b.Bytes(), err
}
