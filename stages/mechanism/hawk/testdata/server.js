// A server made with the npm package `@hapi/hawk`. Its argument is its settings as JSON; it writes
// its port to standard output, and goes away when standard input ends.
'use strict';

const Hawk = require('@hapi/hawk');
const Http = require('http');

const { id, key, host, port, localtimeOffsetMsec } = JSON.parse(process.argv[2]);
const lookup = (asked) => (asked === id ? { key, algorithm: 'sha256' } : null);

const server = Http.createServer((req, res) => {
	let payload = '';
	req.on('data', (piece) => (payload += piece));
	req.on('end', async () => {
		const options = { host, port, localtimeOffsetMsec };
		if (payload) {
			options.payload = payload;
		}
		try {
			const { credentials, artifacts } = await Hawk.server.authenticate(req, lookup, options);
			const answer = JSON.stringify({ method: req.method, target: req.url, body: payload, ext: artifacts.ext });
			const contentType = 'application/json';
			res.setHeader('Content-Type', contentType);
			res.setHeader('Server-Authorization', Hawk.server.header(credentials, artifacts, { payload: answer, contentType, ext: 'from JavaScript' }));
			res.end(answer);
		} catch (err) {
			res.statusCode = err.output ? err.output.statusCode : 500;
			res.setHeader('WWW-Authenticate', (err.output && err.output.headers['WWW-Authenticate']) || []);
			res.end(err.message);
		}
	});
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
process.stdin.resume();
process.stdin.on('end', () => process.exit());
