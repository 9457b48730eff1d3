package simulator_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

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
