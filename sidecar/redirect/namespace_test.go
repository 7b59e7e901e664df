//go:build linux

package redirect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// namespace is a fresh network namespace with a thread that lives in it.
type namespace struct {
	work chan func()
	tid  int
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	ns := &namespace{work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread dies with its namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ready <- err
			return
		}
		ns.tid = unix.Gettid()
		ready <- nil
		for f := range ns.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Skipf("skipped: no network namespaces here: %v", err)
	}
	t.Cleanup(func() { close(ns.work) })
	return ns
}

// do runs f on the namespace's thread.
func (ns *namespace) do(f func() error) error {
	done := make(chan error)
	ns.work <- func() { done <- f() }
	return <-done
}

func (ns *namespace) ip(t *testing.T, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		args := strings.Fields(line)
		if len(args) == 0 {
			continue
		}
		err := ns.do(func() error {
			out, err := exec.Command("ip", args...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("ip %s: %w: %s", strings.TrimSpace(line), err, out)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// serve answers every connection to addr with answer(conn) and closes it.
func (ns *namespace) serve(t *testing.T, network, addr string, answer func(net.Conn) string) {
	t.Helper()
	var l net.Listener
	err := ns.do(func() (err error) {
		l, err = net.Listen(network, addr)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, answer(conn))
			_ = conn.Close()
		}
	}()
}

// call dials as that user and returns what the other end says, or "refused"
// or "timeout".
func (ns *namespace) call(uid uint32, network, from, to string) string {
	var said string
	_ = ns.do(func() error {
		// Only this thread's file system user changes, which is the one
		// that the kernel stores as the socket's owner.
		becomeThread(uid)
		defer becomeThread(0)
		dialer := net.Dialer{Timeout: time.Second}
		if from != "" {
			dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
		}
		conn, err := dialer.Dial(network, to)
		switch timeout := net.Error(nil); {
		case errors.Is(err, unix.ECONNREFUSED):
			said = "refused"
			return nil
		case errors.As(err, &timeout) && timeout.Timeout():
			said = "timeout"
			return nil
		case err != nil:
			said = err.Error()
			return nil
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
		raw, err := io.ReadAll(conn)
		said = string(raw)
		if err != nil {
			said = err.Error()
		}
		return nil
	})
	return said
}

// becomeThread cannot tell whether it worked: the call returns the previous
// user either way.
func becomeThread(uid uint32) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(uid), 0, 0)
}

// originalDestination is SO_ORIGINAL_DST, as Envoy's listener filter reads it.
func originalDestination(conn net.Conn) string {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err.Error()
	}
	var out string
	err = raw.Control(func(fd uintptr) {
		var addr unix.RawSockaddrInet4
		size := uint32(unsafe.Sizeof(addr))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_IP, unix.SO_ORIGINAL_DST,
			uintptr(unsafe.Pointer(&addr)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			out = "none: " + errno.Error()
			return
		}
		port := binary.NativeEndian.AppendUint16(nil, addr.Port)
		out = netip.AddrPortFrom(netip.AddrFrom4(addr.Addr), binary.BigEndian.Uint16(port)).String()
	})
	if err != nil {
		return err.Error()
	}
	return out
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skipped: network namespaces and nftables need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("skipped: iproute2 isn't installed")
	}
}

func deadline() time.Time { return time.Now().Add(2 * time.Second) }
