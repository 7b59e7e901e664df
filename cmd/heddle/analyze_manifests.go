package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	kubejson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// manifest is an object and where it was read.
type manifest struct {
	source string
	object map[string]any
}

// readManifests reads a file, the files of a directory, or standard input,
// which is called "-". Lists are taken apart.
func readManifests(name string, recursive bool, in io.Reader) ([]manifest, error) {
	if name == "-" {
		return decodeManifests("standard input", in)
	}
	var out []manifest
	err := filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != name && !recursive:
			return filepath.SkipDir
		case entry.IsDir() || path != name && !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			return nil
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		found, err := decodeManifests(path, file)
		out = append(out, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read manifests: %w", err)
	}
	return out, nil
}

func decodeManifests(source string, in io.Reader) ([]manifest, error) {
	var out []manifest
	documents := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for number := 1; ; number++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: document %d: %w", source, number, err)
		}
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		var object map[string]any
		raw, err := yaml.YAMLToJSONStrict(document)
		if err == nil {
			err = kubejson.Unmarshal(raw, &object) // whole numbers stay whole
		}
		if err != nil {
			return nil, fmt.Errorf("%s: document %d: %w", source, number, err)
		}
		out = append(out, flattened(source, object)...)
	}
}

// flattened returns the object, or those that it lists.
func flattened(source string, object map[string]any) []manifest {
	kind, _ := object["kind"].(string)
	items, listed := object["items"].([]any)
	switch {
	case object == nil:
		return nil // nothing but comments
	case !listed || !strings.HasSuffix(kind, "List"):
		return []manifest{{source, object}}
	}
	var out []manifest
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			out = append(out, flattened(source, object)...)
		}
	}
	return out
}
