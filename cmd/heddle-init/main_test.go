package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const settings = `{"xdsAddress":"operator.test:15012","xdsServerName":"operator.test","trustDomain":"cluster.local","tcpProbePorts":[8080]}`

func environment() map[string]string {
	return map[string]string{
		"POD_NAMESPACE": "shop", "POD_NAME": "web-1", "POD_UID": "uid", "SERVICE_ACCOUNT": "web",
		"POD_IP": "10.244.0.7", "HOST_IP": "10.0.0.1", "HEDDLE_SETTINGS": settings,
	}
}

func getenv(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func TestReadOptionsRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change map[string]string
		want   string
	}{
		"no pod name":                {map[string]string{"POD_NAME": ""}, "POD_NAME is not set"},
		"two missing, both are told": {map[string]string{"POD_UID": "", "POD_NAMESPACE": ""}, "POD_NAMESPACE is not set\nPOD_UID is not set"},
		"no address":                 {map[string]string{"POD_IP": ""}, "POD_IP"},
		"the host's network":         {map[string]string{"HOST_IP": "10.244.0.7"}, "refusing to redirect the host's network"},
		"no settings":                {map[string]string{"HEDDLE_SETTINGS": ""}, "HEDDLE_SETTINGS: decode settings"},
		"settings without an operator": {
			map[string]string{"HEDDLE_SETTINGS": `{"xdsServerName":"a","trustDomain":"b"}`}, "xdsAddress",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := environment()
			maps.Copy(env, tt.change)
			_, err := readOptions(getenv(env))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
		})
	}
}

func TestRunReportsErrorsAsJSON(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := run(nil, getenv(nil), &stdout, &stderr); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if got := stderr.String(); !strings.HasPrefix(got, `{"time":`) || !strings.Contains(got, "POD_NAME is not set") {
		t.Errorf("stderr is %s", got)
	}
	if code := run([]string{"--unknown"}, getenv(nil), &stdout, &stderr); code != 2 {
		t.Errorf("exit code %d for an unknown flag, want 2", code)
	}
}

func TestDryRunPrintsEverythingAndNoKey(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := run([]string{"--dry-run"}, getenv(environment()), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	for _, want := range []string{
		"# /var/lib/heddle/sds-token.yaml", "# /var/lib/heddle/sds-xds-ca.yaml", "# /var/lib/heddle/envoy.json",
		`"id": "shop/web-1"`, "probe_tcp_8080", "table inet heddle", "redirect to :15001",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the preview doesn't say %s", want)
		}
	}
	if strings.Contains(stdout.String(), "PRIVATE") {
		t.Error("the preview has a private key")
	}
}

func TestKeyIsKeptIfItCanBeUsed(t *testing.T) {
	t.Parallel()
	dir, group := t.TempDir(), os.Getgid()
	file := filepath.Join(dir, "key.pem")
	first, made, err := loadOrMakeKey(file, group)
	if err != nil || !made {
		t.Fatalf("made %v, %v", made, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	second, made, err := loadOrMakeKey(file, group)
	if err != nil || made || !first.Equal(second) {
		t.Errorf("the second run made %v, equal %v, %v", made, first.Equal(second), err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode isn't restored: %v, %v", info, err)
	}
	for name, content := range map[string]string{
		"nothing":       "",
		"half a key":    "-----BEGIN PRIVATE KEY-----\nMIGH",
		"another type":  string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})),
		"not a key":     string(pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: []byte{1}})),
		"other content": "hello",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		third, made, err := loadOrMakeKey(file, group)
		if err != nil || !made || third.Equal(first) {
			t.Errorf("%s: made %v, %v", name, made, err)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(names) != 0 {
		t.Errorf("temporary files are left: %v", names)
	}
}

func TestRequestNamesTheIdentity(t *testing.T) {
	t.Parallel()
	key, _, err := loadOrMakeKey(filepath.Join(t.TempDir(), "key.pem"), os.Getgid())
	if err != nil {
		t.Fatal(err)
	}
	text, err := request(key, "cluster.local", "shop", "web")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(text))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := csr.CheckSignature(); err != nil {
		t.Error(err)
	}
	if !key.PublicKey.Equal(csr.PublicKey.(*ecdsa.PublicKey)) {
		t.Error("the request is for another key")
	}
	if diff := cmp.Diff("spiffe://cluster.local/ns/shop/sa/web", csr.URIs[0].String()); diff != "" {
		t.Error(diff)
	}
	for name, bad := range map[string][3]string{
		"a trust domain with a path": {"a/b", "shop", "web"},
		"an empty namespace":         {"cluster.local", "", "web"},
		"a climbing account":         {"cluster.local", "shop", ".."},
	} {
		if _, err := request(key, bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestWriteFileLeavesNothingHalf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "a", "b")
	if err := writeFile(file, []byte("x"), fileMode, os.Getgid()); err == nil {
		t.Error("a missing directory isn't told")
	}
	target := filepath.Join(dir, "directory")
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(target, []byte("x"), fileMode, os.Getgid()); err == nil {
		t.Error("a directory was replaced")
	}
	var left []string
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if !d.IsDir() {
			left = append(left, path)
		}
		return nil
	})
	if len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

// TestRenderOrder: Envoy starts when its bootstrap is there, so that must be
// the last file.
func TestRenderOrder(t *testing.T) {
	t.Parallel()
	o, err := readOptions(getenv(environment()))
	if err != nil {
		t.Fatal(err)
	}
	files, err := render(o, "csr")
	if err != nil {
		t.Fatal(err)
	}
	if got := files[len(files)-1].path; got != "/var/lib/heddle/envoy.json" {
		t.Errorf("the last file is %s", got)
	}
}
