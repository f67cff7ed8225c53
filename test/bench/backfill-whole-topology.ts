import taxi, { trip } from '../../topology/examples/taxi/topology.ts'
import { expect } from '../../topology/index.ts'

/* The taxi example with an expectation: its state is one of the whole, so all of it is folded. */
export default { ...taxi, expectations: [expect(trip, [{ field: 'miles', range: { min: 0 } }])] }
