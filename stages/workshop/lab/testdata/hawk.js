// Calls the API at /hmac/ as an app that somebody wrote in JavaScript, with the Hawk
// package named in the first argument. The second is the settings as JSON.
'use strict';

const Hawk = require(process.argv[2]);
const Https = require('https');
const { randomUUID } = require('crypto');

const { base, ca, cert, key, id, secret } = JSON.parse(process.argv[3]);
const credentials = { id, key: secret, algorithm: 'sha256' };

function call(method, path, body, device) {
	const url = base + path;
	const payload = body === undefined ? undefined : JSON.stringify(body);
	const contentType = 'application/json';
	const { header, artifacts } = Hawk.client.header(url, method, { credentials, ...(payload && { payload, contentType }) });
	const headers = { Authorization: header, 'User-Agent': 'HarbourBank/1.0', ...device, ...(payload && { 'Content-Type': contentType }) };
	return new Promise((resolve, reject) => {
		const req = Https.request(url, { method, headers, ca, cert, key }, (res) => {
			let answer = '';
			res.on('data', (piece) => (answer += piece));
			res.on('end', () => {
				try {
					// Throws when Server-Authorization is missing or wrong.
					Hawk.client.authenticate(res, credentials, artifacts, { payload: answer, required: true });
					resolve({ status: res.statusCode, answer: JSON.parse(answer) });
				} catch (err) {
					reject(err);
				}
			});
		});
		req.on('error', reject);
		req.end(payload);
	});
}

(async () => {
	const identifier = 'javascript-' + randomUUID();
	const registered = await call('POST', '/hmac/v1/devices', { identifier });
	const device = { 'Device-Id': identifier, 'Device-Guid': registered.answer.guid };
	const rates = await call('GET', '/hmac/v1/rates', undefined, device);
	const accounts = await call('GET', '/hmac/v1/accounts', undefined, device);
	const transfer = await call('POST', '/hmac/v1/transfers',
		{ from: 'HB-1001', to: 'HB-2001', amount: 100, currency: 'EUR', reference: 'from JavaScript' }, device);
	console.log([registered, rates, accounts, transfer].map((r) => r.status).join(' '));
})().catch((err) => {
	console.error(err);
	process.exit(1);
});
