package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Modes of the files in the state volume. The proxy reads them by its group.
const (
	keyMode  fs.FileMode = 0o640
	fileMode fs.FileMode = 0o640
)

// writeFile replaces a file atomically: it is there whole, with its mode and
// group, or not at all. The content is never readable by others on the way.
func writeFile(file string, content []byte, mode fs.FileMode, group int) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // 0600
	if err != nil {
		return fmt.Errorf("make temporary file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, err := tmp.Write(content); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := tmp.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", file, err)
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("close %s: %w", file, err)
	}
	if err := restrict(tmp.Name(), mode, group); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return fmt.Errorf("put %s in place: %w", file, err)
	}
	return nil
}

// restrict sets group and mode. The group must be set explicitly: a volume
// with an fsGroup gives new files that one. It needs no capability, as the
// process is a member of the group.
func restrict(file string, mode fs.FileMode, group int) error {
	if err := os.Chown(file, -1, group); err != nil {
		return fmt.Errorf("set group of %s: %w", file, err)
	}
	if err := os.Chmod(file, mode); err != nil {
		return fmt.Errorf("set mode of %s: %w", file, err)
	}
	return nil
}
