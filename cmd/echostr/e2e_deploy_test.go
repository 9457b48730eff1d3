package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/internal/pgtest"
	"github.com/echostr/echostr/simulator"
)

const deploy = "../../deploy/"

// program finds a program, where packages put it, too. Without it the test is skipped, unless ECHOSTR_TEST_REQUIRE names it.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, name := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if slices.Contains(strings.Split(os.Getenv("ECHOSTR_TEST_REQUIRE"), ","), name) {
		t.Fatalf("%s is missing: apt-get install %s", name, name)
	}
	t.Skipf("%s is missing: apt-get install %s", name, name)
	return ""
}

// Of the files in deploy every command line and every variable is one that the program knows.
func TestDeployFiles(t *testing.T) {
	t.Parallel()
	env := []string{"ECHOSTR_ACCOUNTS_0_NAME=shop", "ECHOSTR_ACCOUNTS_0_APP_ID=wxb11529c136998cb6", "ECHOSTR_ACCOUNTS_0_MODE=plain", "ECHOSTR_ACCOUNTS_0_BOT=demo", "ECHOSTR_ACCOUNTS_0_TOKEN=" + newToken()}
	variable := regexp.MustCompile(`\bECHOSTR_[A-Z0-9_]+=\S+`)
	for file, line := range map[string]string{
		"systemd/echostr.service":  `(?m)^ExecStart=/usr/local/bin/echostr (.*)$`,
		"systemd/echostr@.service": `(?m)^ExecStart=/usr/local/bin/echostr (.*)$`,
		"container/Containerfile":  `(?m)^CMD \["(.*)"\]$`,
	} {
		text := read(t, deploy+file)
		args := regexp.MustCompile(line).FindStringSubmatch(text)
		if args == nil {
			t.Errorf("%s starts nothing", file)
			continue
		}
		// In a folder without a configuration it gets as far as looking for that.
		p := launch(t, nil, binary(t, "echostr"), strings.Split(strings.ReplaceAll(args[1], `", "`, " "), " ")...)
		if code := p.wait(t); code != exitConfig || !strings.Contains(p.String(), "the configuration file does not exist") {
			t.Errorf("%s: echostr %s ends with %d", file, args[1], code)
		}
		var out, errs bytes.Buffer
		term := &terminal{out: &out, err: &errs, env: env}
		for _, v := range variable.FindAllString(text, -1) {
			term.env = append(term.env, strings.ReplaceAll(v, "%i", "1"))
		}
		if strings.Contains(file, "service") && len(term.env)-len(env) != strings.Count(text, "Environment=") {
			t.Errorf("%s: not all variables were understood", file)
		}
		if code := term.report(run(t.Context(), []string{"config", "check", filepath.Join(t.TempDir(), "none.yaml")}, term)); code != exitConfig || strings.Contains(errs.String(), "names no key") {
			t.Errorf("%s: %s", file, errs.String())
		}
	}
}

func TestSystemdUnits(t *testing.T) {
	t.Parallel()
	analyze := program(t, "systemd-analyze")
	dir := t.TempDir()
	var units []string
	for _, name := range []string{"echostr.service", "echostr.socket", "echostr@.service"} {
		// The program is not installed here.
		text := strings.ReplaceAll(read(t, deploy+"systemd/"+name), "/usr/local/bin/echostr", binary(t, "echostr"))
		name = strings.Replace(name, "@", "@1", 1)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		units = append(units, filepath.Join(dir, name))
	}
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "echostr") { // others are about the units of this machine
			t.Errorf("%s", strings.TrimSpace(line))
		}
	}
	if err != nil && !t.Failed() {
		t.Logf("%v\n%s", err, out)
	}
}

// behindProxy runs a proxy with a file of deploy before two nodes, whose addresses are put into it, and WeChat's pushes go
// through it. change puts its own address in, and start says how to run it. While a node stops a message needs so many pushes
// at most.
func behindProxy(t *testing.T, start func(t *testing.T, dir, text string) *exec.Cmd, file string, pushes int, change func(text, address string) string) {
	t.Helper()
	dsn := pgtest.DSN(t)
	one, two := serveNode(t, dsn), serveNode(t, dsn)
	address := "127.0.0.1:" + freePort(t) // when nobody else looks for one any more
	text := read(t, deploy+file)
	if strings.Count(text, "127.0.0.1:9011") != 1 || strings.Count(text, "127.0.0.1:9012") != 1 {
		t.Fatal("it has not the addresses of echostr@1 and echostr@2")
	}
	text = change(strings.NewReplacer("127.0.0.1:9011", one.addr, "127.0.0.1:9012", two.addr).Replace(text), address)
	p := &process{cmd: start(t, t.TempDir(), text), output: new(output), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.start(t)
	a := modes[0]
	w := wechat(t, "http://"+address, a, simulator.Rules{})
	waitFor(t, "the proxy", func() bool {
		check, err := w.Verify(t.Context())
		return err == nil && check.OK()
	})
	// 慢 8 is cut on one node and answered by the other.
	report, err := w.Send(t.Context(), simulator.Text("慢 8"))
	if err != nil || report.Verdict.Reply == nil || report.Verdict.Reply.Content != "等了 8 秒" || len(report.Pushes) < 2 || report.Pushes[0].Outcome != simulator.Cut {
		t.Fatalf("%v, %v", report, err)
	}
	if starts := one.starts(t) + two.starts(t); starts != "10" && starts != "01" {
		t.Errorf("%s starts", starts)
	}
	if turns := one.turns(t); len(turns) != 1 || turns[0].Pushes[0].Got != "cut" {
		t.Errorf("the hang-up was not passed on: %+v", turns)
	}
	// While a node stops, and when it is gone, every message is answered.
	patient := wechat(t, "http://"+address, a, calm)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if code := one.terminate(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}()
	for n, ended := 0, false; !ended || n < 20; n++ {
		select {
		case <-stopped:
			ended = true
		default:
		}
		m := simulator.Text(fmt.Sprint("你好 ", n))
		if report, err := patient.Send(t.Context(), m); err != nil || report.Verdict.Reply == nil || len(report.Pushes) > pushes {
			t.Errorf("message %d: %v, %v", n, report, err)
		}
	}
}

func TestNginx(t *testing.T) {
	t.Parallel()
	nginx := program(t, "nginx")
	behindProxy(t, func(t *testing.T, dir, text string) *exec.Cmd {
		// As it stands, but for the names of the certificate.
		cert, key := certificate(t, dir)
		whole := func(text string) string {
			text = strings.NewReplacer("/etc/letsencrypt/live/wx.example.com/fullchain.pem", cert, "/etc/letsencrypt/live/wx.example.com/privkey.pem", key).Replace(text)
			return "daemon off; master_process off; pid " + dir + "/pid; error_log stderr;\nevents {}\nhttp { access_log off; client_body_temp_path " + dir + "/b; proxy_temp_path " + dir + "/p; fastcgi_temp_path " + dir + "/f; uwsgi_temp_path " + dir + "/u; scgi_temp_path " + dir + "/s;\n" + text + "}\n"
		}
		file := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(file, []byte(whole(read(t, deploy+"nginx/echostr.conf"))), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(nginx, "-t", "-e", "stderr", "-p", dir, "-c", file).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if err := os.WriteFile(file, []byte(whole(text)), 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.Command(nginx, "-e", "stderr", "-p", dir, "-c", file)
	}, "nginx/echostr.conf", 1, func(text, address string) string {
		return strings.Replace(text, "listen 443 ssl;", "listen "+address+";", 1)
	})
}

func TestCaddy(t *testing.T) {
	t.Parallel()
	caddy := program(t, "caddy")
	behindProxy(t, func(t *testing.T, dir, text string) *exec.Cmd {
		file := filepath.Join(dir, "Caddyfile")
		for _, text := range []string{read(t, deploy+"caddy/Caddyfile"), text} {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(caddy, "validate", "--adapter", "caddyfile", "--config", file)
			cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		cmd := exec.Command(caddy, "run", "--adapter", "caddyfile", "--config", file)
		cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		return cmd
	}, "caddy/Caddyfile", 2, func(text, address string) string {
		return "{\n\tadmin off\n}\n" + strings.Replace(text, "\nwx.example.com {", "\nhttp://"+address+" {", 1)
	})
}

// certificate makes a certificate and its key for the name in the files.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"wx.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
