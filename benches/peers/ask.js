// Asks pm2 by its own library for the state of a job: microseconds for one, and questions a second, sixteen at once.
const pm2 = require(process.argv[1]);
const [count, crowd] = [500, 16];
const ask = () => new Promise((done, failed) => pm2.describe("j0", (error, list) => {
  if (error || list[0].pm2_env.status !== "online") failed(error || list);
  else done();
}));
const now = () => Number(process.hrtime.bigint()) / 1e3;
pm2.connect(async () => {
  const times = [];
  for (let n = 0; n < count; n++) {
    const begun = now();
    await ask();
    times.push(now() - begun);
  }
  const begun = now();
  for (let n = 0; n < count / crowd; n++) await Promise.all(Array.from({ length: crowd }, ask));
  const took = (now() - begun) / 1e6;
  times.sort((a, b) => a - b);
  console.log(times[count / 2], Math.ceil(count / crowd) * crowd / took);
  pm2.disconnect();
  process.exit(0);
});
