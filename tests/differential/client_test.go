package differential_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/heddle-mesh/heddle/operator/explain"
)

// answer is what came of a request.
type answer struct {
	outcome explain.Outcome
	// status is 0 where there was none; note says what there was instead.
	status int
	note   string
	// backend is the kind of backend that answered, target what it got and
	// path what it makes of that; empty where no backend did.
	backend, target, path string
}

func (a answer) String() string {
	text := a.outcome.String()
	if a.status > 0 {
		text += fmt.Sprintf(" (status %d)", a.status)
	}
	if a.note != "" {
		text += " (" + a.note + ")"
	}
	if a.backend != "" {
		text += fmt.Sprintf(", %s got %q and reads %q", a.backend, a.target, a.path)
	}
	return text
}

// client sends requests byte by byte as told, over one connection for as long
// as that lasts. It is used by one goroutine.
type client struct {
	dial func() (net.Conn, error)
	conn net.Conn
	// read is for HTTP/1, the others for HTTP/2.
	read   *bufio.Reader
	framer *http2.Framer
	stream uint32
	hpack  *hpack.Encoder
	block  bytes.Buffer
}

func dialPlain(addr netip.AddrPort) (net.Conn, error) {
	return net.DialTimeout("tcp", addr.String(), 5*time.Second)
}

// dialMesh connects as a sidecar with the certificate would.
func dialMesh(addr netip.AddrPort, cert tls.Certificate, alpn string) (net.Conn, error) {
	conn, err := dialPlain(addr)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, NextProtos: []string{alpn},
		InsecureSkipVerify: true, // who serves is not under test
	})
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := secure.Handshake(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn, c.read, c.framer = nil, nil, nil
}

// send sends the request and reads the answer. A connection that is found
// closed before the answer began is opened anew once, as it may have been so
// before the request.
func (c *client) send(r explain.Request) answer {
	reused := c.conn != nil
	a, err := c.try(r)
	if err != nil && reused {
		c.close()
		a, err = c.try(r)
	}
	if err != nil {
		c.close()
		return answer{outcome: explain.Closed, note: err.Error()}
	}
	return a
}

func (c *client) try(r explain.Request) (answer, error) {
	if c.conn == nil {
		conn, err := c.dial()
		if err != nil {
			return answer{}, err
		}
		c.conn, c.read = conn, bufio.NewReader(conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(10 * time.Second))
	switch r.Protocol {
	case explain.HTTP2:
		return c.try2(r)
	case explain.TCP:
		return c.tryTCP()
	default:
		return c.try1(r)
	}
}

// greeting is what a TCP client says; no HTTP begins so.
const greeting = "\x00hello\n"

func (c *client) tryTCP() (answer, error) {
	defer c.close()
	if _, err := io.WriteString(c.conn, greeting); err != nil {
		return answer{}, err
	}
	line, err := c.read.ReadString('\n')
	if err != nil {
		return answer{}, err
	}
	return answer{backend: strings.TrimSpace(line)}, nil
}

// raw1 is the request as HTTP/1.1 has it.
func raw1(r explain.Request) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, r.Target)
	fmt.Fprintf(&b, "Host: %s\r\n", r.Authority)
	for _, h := range r.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

func (c *client) try1(r explain.Request) (answer, error) {
	if _, err := c.conn.Write(raw1(r)); err != nil {
		return answer{}, err
	}
	res, err := http.ReadResponse(c.read, &http.Request{Method: r.Method})
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.Close {
		c.close()
	}
	return read(res.StatusCode, res.Header, body), nil
}

func (c *client) try2(r explain.Request) (answer, error) {
	if c.framer == nil {
		c.framer, c.stream = http2.NewFramer(c.conn, c.read), 1
		c.framer.AllowIllegalWrites = true
		c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		c.hpack = hpack.NewEncoder(&c.block)
		if _, err := io.WriteString(c.conn, http2.ClientPreface); err != nil {
			return answer{}, err
		}
		if err := c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}); err != nil {
			return answer{}, err
		}
	} else {
		c.stream += 2
	}
	c.block.Reset()
	for _, f := range fields2(r) {
		if err := c.hpack.WriteField(f); err != nil {
			return answer{}, err
		}
	}
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: c.stream, BlockFragment: c.block.Bytes(), EndStream: true, EndHeaders: true,
	}); err != nil {
		return answer{}, err
	}
	return c.read2()
}

func fields2(r explain.Request) []hpack.HeaderField {
	fields := []hpack.HeaderField{
		{Name: ":method", Value: r.Method},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: r.Authority},
		{Name: ":path", Value: r.Target},
	}
	for _, h := range r.Headers {
		fields = append(fields, hpack.HeaderField{Name: h.Name, Value: h.Value})
	}
	return fields
}

// read2 reads until the stream ends. A stream that is reset as malformed is
// HTTP/2's way to answer with 400 (RFC 9113, 8.1.1).
func (c *client) read2() (answer, error) {
	var body []byte
	status, header := 0, http.Header{}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return answer{}, err
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = c.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = c.framer.WritePing(true, f.Data)
			}
		case *http2.GoAwayFrame:
			if f.LastStreamID < c.stream || f.ErrCode != http2.ErrCodeNo {
				c.close()
				if f.ErrCode == http2.ErrCodeProtocol {
					return answer{outcome: explain.BadRequest, note: "GOAWAY " + f.ErrCode.String()}, nil
				}
				return answer{}, fmt.Errorf("GOAWAY %s", f.ErrCode)
			}
		case *http2.RSTStreamFrame:
			if f.StreamID != c.stream {
				continue
			}
			outcome := explain.Closed
			if f.ErrCode == http2.ErrCodeProtocol {
				outcome = explain.BadRequest
			}
			return answer{outcome: outcome, note: "RST_STREAM " + f.ErrCode.String()}, nil
		case *http2.MetaHeadersFrame:
			if f.StreamID != c.stream {
				continue
			}
			for _, h := range f.Fields {
				header.Add(h.Name, h.Value)
			}
			if _, err := fmt.Sscan(f.PseudoValue("status"), &status); err != nil {
				return answer{}, errors.New("no status")
			}
			if f.StreamEnded() {
				return read(status, header, body), nil
			}
		case *http2.DataFrame:
			if n := len(f.Data()); n > 0 {
				err = c.framer.WriteWindowUpdate(0, uint32(n))
			}
			if f.StreamID != c.stream {
				continue
			}
			body = append(body, f.Data()...)
			if f.StreamEnded() {
				return read(status, header, body), nil
			}
		}
		if err != nil {
			return answer{}, err
		}
	}
}

// read tells a backend's answer from one of the proxy's own.
func read(status int, header http.Header, body []byte) answer {
	a := answer{status: status, backend: header.Get(backendHeader)}
	switch {
	case a.backend != "" && status == http.StatusOK:
		a.target, a.path, _ = strings.Cut(string(body), "\n")
	case a.backend != "": // a redirect of the backend's own
	case strings.HasPrefix(header.Get("Server"), "nginx"):
		a.backend = "nginx, in its own name,"
	case strings.Contains(header.Get("Content-Type"), "charset"):
		a.backend = "net/http, in its own name,"
	case status == http.StatusBadGateway && (len(body) == 0 || bytes.Contains(body, []byte("reset reason: protocol error"))):
		a.backend = "net/http, by resetting the stream,"
	case status == http.StatusForbidden:
		a.outcome = explain.Forbidden
	case status == http.StatusBadRequest:
		a.outcome = explain.BadRequest
	case status == http.StatusInternalServerError:
		a.outcome = explain.BackendMissing
	case status == http.StatusServiceUnavailable:
		a.outcome = explain.Unavailable
	default:
		a.outcome, a.note = explain.Mixed, "no answer that the model knows: "+strings.TrimSpace(string(body))
	}
	return a
}
