package simulator_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/echostr/echostr/simulator"
)

// A server that thinks every push is to be answered in JSON.
func Example() {
	server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"errcode":0}`)
	})
	wechat, err := simulator.New(simulator.Config{
		Account:   simulator.Account{URL: "http://localhost/wx/dev", Token: "zExampleToken", Mode: simulator.Plain},
		Transport: simulator.Direct(server), // without it, pushes go to the URL
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := wechat.Send(context.Background(), simulator.Text("你好"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Verdict)
	// Output:
	// fault notice 「该公众号提供的服务出现故障，请稍后再试」: the answer is JSON; an Official Account answers in XML or with success
}

// A test with people in it. In a real test t is the *testing.T.
func ExampleStart() {
	t := exampleTB{}
	server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct{ ToUserName, FromUserName, Content string }
		if err := xml.NewDecoder(r.Body).Decode(&m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>你说了%s</Content></xml>",
			m.FromUserName, m.ToUserName, m.Content)
	})

	s := simulator.Start(t, server, nil)
	ming := s.User("小明")
	ming.Says("你好")
	ming.SeesText("你说了你好")
	ming.SeesNothing()
	ming.Says("再见")
	ming.SeesText("你好") // which fails, and says what went over the wire

	// Output:
	// 小明 should see the text "你好", but sees text: 你说了再见
	// text: 再见, sent by 小明, was pushed as ...
}

// exampleTB prints the beginning of what fails.
type exampleTB struct{}

func (exampleTB) Helper()                  {}
func (exampleTB) Cleanup(func())           {}
func (exampleTB) Context() context.Context { return context.Background() }
func (exampleTB) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

func (exampleTB) Errorf(format string, args ...any) {
	lines := strings.Split(fmt.Sprintf(format, args...), "\n")
	fmt.Println(lines[0])
	fmt.Println(lines[1], "...")
}
