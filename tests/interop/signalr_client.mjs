// Microsoft's SignalR client against our simulator of a ProjectX market hub: prints the price of each trade that it gets.
//
// Usage: signalr_client.mjs HOST:PORT TOKEN

import { HttpTransportType, HubConnectionBuilder, LogLevel } from "@microsoft/signalr";

const CONTRACT = "CON.F.US.RTY.Z24";
const EXPECTED = 20;

const [host, token] = process.argv.slice(2);
const prices = [];
const hub = new HubConnectionBuilder()
    .withUrl(`http://${host}/hubs/market`, {
        skipNegotiation: true,
        transport: HttpTransportType.WebSockets,
        accessTokenFactory: () => token,
    })
    .configureLogging(LogLevel.Error)
    .build();

const enough = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`only ${prices.length} of ${EXPECTED} trades came`)), 30_000).unref();
    hub.onclose((error) => reject(error ?? new Error("closed")));
    hub.on("GatewayTrade", (contract, trades) => {
        if (contract !== CONTRACT) {
            reject(new Error(`a trade of ${contract}`));
        }
        prices.push(...trades.map((trade) => trade.price));
        if (prices.length >= EXPECTED) {
            resolve();
        }
    });
});

await hub.start();
await hub.invoke("SubscribeContractTrades", CONTRACT);
await hub.invoke("SubscribeContractQuotes", CONTRACT);
await enough;
for (const price of prices) {
    console.log(price);
}
process.exit(0);
